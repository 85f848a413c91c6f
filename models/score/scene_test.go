package score

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestHeldoutPrompts(t *testing.T) {
	var table Table
	ids := map[string]bool{}
	for _, p := range heldout(t) {
		table.Add(p, Result{})
		if ids[p.ID] {
			t.Errorf("%s is there twice", p.ID)
		}
		ids[p.ID] = true
	}
	if table.New.N != 120 || table.Unseen.N != 120 {
		t.Errorf("%d new scenes and %d unseen pairs, want 120 each", table.New.N, table.Unseen.N)
	}
	for i, objects := range table.Objects {
		if objects.N < 20 {
			t.Errorf("only %d prompts of %d objects", objects.N, i+1)
		}
	}
}

func TestReadPromptsNamesTheFault(t *testing.T) {
	const object = `{"shape":"star","color":"red"}`
	scene := func(s string) string { return `{"id":"a","prompt":"b","unseen":false,"scene":` + s + `}` }
	plain := `"background":{"kind":"plain"}`
	good := scene(`{"objects":[` + object + `],` + plain + `}`)
	for line, fault := range map[string]string{
		"":                                    "EOF",
		scene(`{"objects":[],` + plain + `}`): "objects: 0 of them, want 1 to 3",
		scene(`{"objects":[{"shape":"blob","color":"red"}],` + plain + `}`):               `unknown shape "blob"`,
		scene(`{"objects":[{"shape":"star","color":"gray"}],` + plain + `}`):              `unknown color "gray"`,
		scene(`{"objects":[{"shape":"star","color":"red","size":"vast"}],` + plain + `}`): `unknown size "vast"`,
		scene(`{"objects":[` + object + `],"place":"up",` + plain + `}`):                  `place: "up" for 1 objects`,
		scene(`{"objects":[` + object + `,` + object + `],` + plain + `}`):                `relation: "" for 2 objects`,
		scene(`{"objects":[` + object + `],"relation":"left",` + plain + `}`):             `relation: "left" for 1 objects`,
		scene(`{"objects":[` + object + `],"background":{"kind":"paper"}}`):               `unknown kind "paper"`,
		scene(`{"objects":[` + object + `],"background":{"kind":"gradient","top":"x"}}`):  `unknown color "x"`,
		scene(`{"objects":[` + object + `],"background":{"kind":"landscape"}}`):           `unknown time ""`,
		scene(`{"objects":[` + object + `],"sky":1,` + plain + `}`):                       `unknown field "sky"`,
	} {
		_, err := ReadPrompts(strings.NewReader(good + "\n" + line + "\n"))
		if err == nil || !strings.Contains(err.Error(), fault) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: error %v, want one about line 2 and %s", line, err, fault)
		}
	}
}

func TestFloor(t *testing.T) {
	data, err := os.ReadFile("testdata/floor.json")
	if err != nil {
		t.Fatal(err)
	}
	var floor Floor
	if err := json.Unmarshal(data, &floor); err != nil {
		t.Fatal(err)
	}
	if floor.All < .8 {
		t.Errorf("the floor is %.2f, a house model must not land below .80", floor.All)
	}
	one := Prompt{Scene: Scene{Objects: make([]Object, 1)}}
	other := Prompt{Scene: Scene{Objects: make([]Object, 3)}, Unseen: true}
	all := Result{true, true, true, true, true}
	var table Table
	table.Add(one, all)
	table.Add(other, all)
	if err := floor.Check(table); err != nil {
		t.Errorf("all right: %v", err)
	}
	table.Add(other, Result{Color: true})
	err = floor.Check(table)
	if err == nil || strings.Contains(err.Error(), "new scenes") ||
		!strings.Contains(err.Error(), "unseen pairs: 50.0 % of 2 pictures") {
		t.Errorf("one of three wrong: %v", err)
	}
	var text strings.Builder
	if err := table.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"all  3       66.7  100.0   66.7", "three shapes  2       50.0"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &text)
		}
	}
}
