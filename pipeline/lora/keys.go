package lora

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// What a tensor is to its layer.
const (
	downRole = iota
	upRole
	alphaRole
)

var endings = []struct {
	text string
	role int
}{
	{".lora_down.weight", downRole}, {".lora_up.weight", upRole}, {".alpha", alphaRole},
	{".lora_A.weight", downRole}, {".lora_B.weight", upRole},
	{".lora_A.default.weight", downRole}, {".lora_B.default.weight", upRole},
	{".lora.down.weight", downRole}, {".lora.up.weight", upRole},
	{"_lora.down.weight", downRole}, {"_lora.up.weight", upRole},
	{".lora_linear_layer.down.weight", downRole}, {".lora_linear_layer.up.weight", upRole},
}

// foreign are tensors of adaptations that are more than two matrices.
var foreign = []struct{ text, name string }{
	{".hada_", "LoHa"}, {".lokr_", "LoKr"}, {".lora_mid", "a Tucker decomposition"}, {".dora_scale", "DoRA"}, {".lora_magnitude_vector", "DoRA"},
	{".oft_", "OFT"}, {".lora_B.bias", "a bias"},
}

var prefixes = []struct {
	text string
	part Part
}{
	{"lora_unet_", UNet}, {"lora_te1_", TextEncoder}, {"lora_te2_", TextEncoder2}, {"lora_te_", TextEncoder},
	{"unet.", UNet}, {"text_encoder.", TextEncoder}, {"text_encoder_2.", TextEncoder2}, {"base_model.model.", UNet},
}

// IsKey tells whether a tensor's name is one of a low-rank adaptation's.
func IsKey(key string) bool {
	for _, f := range foreign {
		if strings.Contains(key, f.text) {
			return true
		}
	}
	_, _, err := split(key)
	return err == nil
}

// cut takes a tensor's name apart: into the module's path as the file has it,
// with dots or underscores, and what is before and behind that.
func cut(key string) (part Part, module string, role int, err error) {
	for _, f := range foreign {
		if strings.Contains(key, f.text) {
			return "", "", 0, fmt.Errorf("%q is of %s, which is not built yet: LoRA's down and up are", key, f.name)
		}
	}
	for _, e := range endings {
		if rest, ok := strings.CutSuffix(key, e.text); ok {
			module, role = rest, e.role
			break
		}
	}
	if module == "" {
		return "", "", 0, fmt.Errorf("%q is no LoRA's: want a name that ends in lora_down.weight, lora_up.weight, lora_A.weight, lora_B.weight or alpha", key)
	}
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(module, p.text); ok {
			return p.part, rest, role, nil
		}
	}
	return UNet, module, role, nil
}

// split takes a tensor's name apart, and gives its module the one spelling.
func split(key string) (at place, role int, err error) {
	at.part, at.path, role, err = cut(key)
	if err != nil {
		return at, 0, err
	}
	at.path = strings.ReplaceAll(at.path, ".", "_")
	// Diffusers' attention processors had layers of their own, once.
	at.path = strings.Replace(at.path, "_processor_to_", "_to_", 1)
	if at.part == UNet {
		if strings.HasSuffix(at.path, "_to_out") {
			at.path += "_0"
		}
	}
	return at, role, nil
}

// The blocks of Stable Diffusion's own code, in which kohya's scripts name
// SDXL's layers.
var (
	stabilityBlock = regexp.MustCompile(`^(input|output)_blocks_(\d+)_(\d+)_(.+)$`)
	stabilityMid   = regexp.MustCompile(`^middle_block_([012])_(.+)$`)
)

// stabilityLayers are the layers of a residual block, and those outside of all
// blocks.
var stabilityLayers = strings.NewReplacer(
	"in_layers_0", "norm1", "in_layers_2", "conv1", "out_layers_0", "norm2", "out_layers_3", "conv2",
	"emb_layers_1", "time_emb_proj", "skip_connection", "conv_shortcut",
)

var stabilityOuter = map[string]string{
	"input_blocks_0_0": "conv_in", "out_0": "conv_norm_out", "out_2": "conv_out",
	"time_embed_0": "time_embedding_linear_1", "time_embed_2": "time_embedding_linear_2",
	"label_emb_0_0": "add_embedding_linear_1", "label_emb_0_2": "add_embedding_linear_2",
}

// DiffusersPath turns a path in a UNet as Stability AI's code names it into
// diffusers'. All other paths stay as they are. Each level of the UNet has so
// many residual blocks on the way down, two in SDXL, and one more on the way up;
// each block of Stability AI's list is one of these or a change of size.
func DiffusersPath(path string, blocks int) string {
	if outer, ok := stabilityOuter[path]; ok {
		return outer
	}
	if m := stabilityMid.FindStringSubmatch(path); m != nil {
		switch m[1] {
		case "0":
			return "mid_block_resnets_0_" + stabilityLayers.Replace(m[2])
		case "1":
			return "mid_block_attentions_0_" + m[2]
		default:
			return "mid_block_resnets_1_" + stabilityLayers.Replace(m[2])
		}
	}
	m := stabilityBlock.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	block, _ := strconv.Atoi(m[2])
	within, rest := m[3], m[4]
	if m[1] == "input" {
		level, layer := (block-1)/(blocks+1), (block-1)%(blocks+1)
		if layer == blocks { // op is the only layer of a change of size
			return fmt.Sprintf("down_blocks_%d_downsamplers_0_conv", level)
		}
		return inBlock("down", level, layer, within, rest)
	}
	level, layer := block/(blocks+1), block%(blocks+1)
	if rest == "conv" {
		return fmt.Sprintf("up_blocks_%d_upsamplers_0_conv", level)
	}
	return inBlock("up", level, layer, within, rest)
}

func inBlock(way string, level, layer int, within, rest string) string {
	if within == "0" {
		return fmt.Sprintf("%s_blocks_%d_resnets_%d_%s", way, level, layer, stabilityLayers.Replace(rest))
	}
	return fmt.Sprintf("%s_blocks_%d_attentions_%d_%s", way, level, layer, rest)
}
