// Package faults holds darkroom against what breaks in the night: its tests run
// the real commands in processes of their own, with a real Redis and a real
// bucket or folder, kill them, stop them and cut them off, and then compare what
// is there with what a run without a break leaves.
//
// After each fault every line has exactly one picture or one dead letter, the
// store holds nothing else, every picture is byte for byte the one that its line
// alone decides, and the queue is empty, with no task's hash left in Redis.
//
// What is random comes from a seed, which a failing test prints:
//
//	go test ./faults -run TestName -seed 1234
//
// Pictures come from a light renderer, which needs no model: see light_test.go.
package faults
