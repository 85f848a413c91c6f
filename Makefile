# make render   draws the pictures of examples/first.jsonl into out/
# make test     runs every test; what is missing on the machine is named, not failed
# make bench    prints the figures of the README's table
#
# All that is needed is Go, a C compiler and pip, npm or curl: ONNX Runtime is
# brought by deploy/onnxruntime.sh.

.PHONY: render test lint bench onnxruntime clean

render: darkroom onnxruntime
	./darkroom render examples/first.jsonl -o out/

test: lint onnxruntime
	@command -v redis-server >/dev/null || echo "make test: no redis-server here: the tests against a real one are left out"
	go test -race ./...

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "make lint: gofmt these files"; exit 1; }
	go vet ./...

bench: onnxruntime
	go test -run '^$$' -bench 'Picture|Step' -benchtime 20x ./pipeline
	go test -run '^$$' -bench Mixed -benchtime 3x ./pipeline
	go test -run '^$$' -bench FirstPicture -benchtime 5x .
	go test -run '^$$' -bench Manifest -benchtime 1x ./producer
	go test -run '^$$' -bench 'Feed|Job' -benchtime 1x ./producer/batch ./consumer

onnxruntime:
	@deploy/onnxruntime.sh >/dev/null

darkroom: FORCE
	go build -o $@ .

FORCE:

clean:
	rm -rf darkroom out
