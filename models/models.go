// Package models holds the models that darkroom brings along, compiled in.
//
// The base model, house, is a latent-diffusion pipeline of 128 px in the folder
// layout of Stable Diffusion's ONNX exports. It draws one to three of eight
// shapes (circle, square, triangle, star, ring, heart, diamond, cross) in ten
// colours and three sizes, at the places that a prompt names, on a plain
// background, a gradient, or a sky, sea or hills by day, at night or at sunset:
// "a large yellow star above a small blue ring on a red to black gradient".
// Other words mean nothing to it. Beside it stand models of the other kinds,
// each made for the base or for its pictures; recipe/README.md describes them.
// The recipe that trained them all is in recipe/, the programs that tell
// whether a picture shows what was asked for in score/.
package models

import (
	"embed"
	"io/fs"
)

//go:embed house*
var files embed.FS

// All returns all models in one folder, as a person would keep theirs: a folder
// for each pipeline, ControlNet and upscaler, and NAME.safetensors for each LoRA
// and embedding.
func All() fs.FS {
	return overlay{files, renamed{files, "house", "house-inpaint"}}
}
