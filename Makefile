# make render   draws the pictures of examples/first.jsonl into out/
# make examples draws all of examples/, and out/examples.png with all of it on one sheet
# make test     runs every test; what is missing on the machine is named, not failed
# make bench    prints the figures of the README's tables that name a benchmark
# make check-deploy holds the container files, the manifests and the binary against each other
# make tools    builds versitygw, the S3 server of the tests, into .tools/
#
# All that is needed is Go, a C compiler and pip, npm or curl: ONNX Runtime is
# brought by deploy/onnxruntime.sh.

.PHONY: render examples test lint check-deploy bench onnxruntime tools clean

render: darkroom onnxruntime
	./darkroom render examples/first.jsonl -o out/

examples: darkroom onnxruntime
	for batch in examples/*.jsonl; do ./darkroom render "$$batch" -o out/ || exit; done
	go run ./examples/sheet out/ out/examples.png
	@echo out/examples.png

test: lint onnxruntime
	@command -v redis-server >/dev/null || echo "make test: no redis-server here: the tests against a real one are left out"
	@test -x .tools/versitygw || command -v versitygw >/dev/null || echo "make test: no versitygw here (make tools builds it): the tests against a real S3 server are left out"
	go test -race -timeout 30m ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "make lint: gofmt these files"; exit 1; }
	go vet ./...

# A module of its own, with the libraries of Compose and Kubernetes.
check-deploy: onnxruntime
	cd deploy/check && go vet . && go test .

bench: onnxruntime tools
	go test -run '^$$' -bench '^Benchmark(Picture|FirstPicture|Step)$$' -benchtime 20x ./pipeline
	go test -run '^$$' -bench 'Mixed|Upscale|LoRA' -benchtime 3x ./pipeline
	go test -run '^$$' -bench ManyPictures -benchtime 1x -timeout 1h ./pipeline
	go test -run '^$$' -bench FirstPicture -benchtime 5x .
	go test -run '^$$' -bench Enqueue -benchtime 1x .
	go test -run '^$$' -bench Manifest -benchtime 1x ./producer
	go test -run '^$$' -bench 'Feed|Job|Status' -benchtime 1x ./producer/batch ./consumer
	go test -run '^$$' -bench S3 -benchtime 300x ./storage
	go test -run '^$$' -bench 'Fleet|Memory' -benchtime 1x -timeout 1h ./consumer

onnxruntime:
	@deploy/onnxruntime.sh >/dev/null

tools: .tools/versitygw

# With its version in its own go.mod, not in ours: its libraries are many.
.tools/versitygw:
	GOBIN="$(CURDIR)/.tools" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

darkroom: FORCE
	go build -o $@ .

FORCE:

clean:
	rm -rf darkroom out
