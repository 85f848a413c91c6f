package score_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/models/score"
)

// TestHouse renders prompts that training never saw through the pipeline and
// holds how many show what they say against the committed floor.
func TestHouse(t *testing.T) {
	studio := openStudio(t)
	prompts := readPrompts(t, "testdata/heldout.jsonl")
	var table score.Table
	for i, img := range studio.render(t, prompts, "", func(score.Prompt) line { return line{} }) {
		table.Add(prompts[i], score.Check(img, prompts[i].Scene))
	}
	var text strings.Builder
	if err := table.Write(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("the house model, %% of %d held-out prompts:\n%s", len(prompts), text.String())
	if err := readFloor(t).Check(table); err != nil {
		t.Error(err)
	}
}

func readFloor(t *testing.T) (floor score.Floor) {
	t.Helper()
	data, err := os.ReadFile("testdata/floor.json")
	if err == nil {
		err = json.Unmarshal(data, &floor)
	}
	if err != nil {
		t.Fatal(err)
	}
	return floor
}
