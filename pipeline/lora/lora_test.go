package lora

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/darkroom/darkroom/pipeline/safetensors/safetensorstest"
)

type tensor = safetensorstest.Tensor

var f32 = safetensorstest.F32

func TestRead(t *testing.T) {
	f := safetensorstest.Open(t, map[string]string{"lora_adapter_metadata": `{"text_encoder.lora_alpha": 6, "text_encoder.r": 2}`},
		f32("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", 10, 2, 3),
		f32("lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", 20, 5, 2),
		f32("lora_unet_mid_block_attentions_0_proj_in.alpha", .5),
		f32("unet.conv_in.lora_A.weight", 30, 1, 4, 3, 3),
		f32("unet.conv_in.lora_B.weight", 40, 8, 1, 1, 1),
		f32("text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight", 0, 2, 3),
		f32("text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_B.weight", 0, 3, 2),
	)
	outline, err := Outline(f)
	if err != nil {
		t.Fatal(err)
	}
	var layers []Layer
	for _, part := range []Part{TextEncoder, TextEncoder2, UNet} {
		some, err := Read(f, part)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, some...)
	}
	var got []string
	for i, l := range layers {
		got = append(got, fmt.Sprint(l.Part, " ", l.Path, " ", l.Rank, l.Alpha, l.In, l.Out, l.Kernel, len(l.Down), len(l.Up)))
		if l.Down, l.Up = nil, nil; !reflect.DeepEqual(outline[i], l) {
			t.Errorf("the outline has %+v, want %+v", outline[i], l)
		}
	}
	want := []string{
		"text_encoder text_model_encoder_layers_0_mlp_fc1 2 6 3 3 [0 0] 6 6",
		"unet conv_in 1 1 4 8 [3 3] 36 8",
		"unet mid_block_attentions_0_proj_in 2 0.5 3 5 [0 0] 6 10",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the layers are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if layers[2].Down[0] != 10 || layers[2].Up[0] != 20 {
		t.Errorf("down begins with %v, up with %v", layers[2].Down[0], layers[2].Up[0])
	}
}

// TestSettings holds that a layer's strength is PEFT's, whose configuration
// diffusers keeps beside the tensors: for all layers, for those whose path ends as
// a pattern wants, by the rank's root, and of a UNet saved by itself.
func TestSettings(t *testing.T) {
	layer := func(path string) []tensor {
		return []tensor{f32(path+".lora_A.weight", 0, 4, 3), f32(path+".lora_B.weight", 0, 5, 4)}
	}
	const q, k, text = "unet.mid_block.attentions.0.to_q", "unet.mid_block.attentions.0.to_k", "text_encoder.text_model.encoder.layers.0.mlp.fc1"
	for name, c := range map[string]struct {
		settings string
		want     [3]float64 // of q, k and text
	}{
		"nothing":           {`{}`, [3]float64{4, 4, 4}},
		"all of a part":     {`{"unet.lora_alpha": 8, "unet.alpha_pattern": {}, "unet.use_rslora": false}`, [3]float64{8, 8, 4}},
		"a pattern":         {`{"unet.lora_alpha": 8, "unet.alpha_pattern": {"attentions.0.to_k": 2}}`, [3]float64{8, 2, 4}},
		"no end of a path":  {`{"unet.lora_alpha": 8, "unet.alpha_pattern": {"o_k": 2, "mid_block": 3}}`, [3]float64{8, 8, 4}},
		"the first of two":  {`{"unet.alpha_pattern": {"to_.": 1, "to_k": 2}}`, [3]float64{1, 1, 4}},
		"the rank's root":   {`{"unet.lora_alpha": 8, "unet.use_rslora": true, "text_encoder.lora_alpha": 6}`, [3]float64{16, 16, 6}},
		"a UNet's own file": {`{"lora_alpha": 8, "alpha_pattern": null}`, [3]float64{8, 8, 4}},
	} {
		layers, err := Outline(safetensorstest.Open(t, map[string]string{"lora_adapter_metadata": c.settings}, slices.Concat(layer(q), layer(k), layer(text))...))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range layers {
			if want := c.want[slices.Index([]string{q, k, text}, strings.TrimSuffix(l.Key, ".lora_A.weight"))]; l.Alpha != want {
				t.Errorf("%s: the alpha of %s is %v, want %v", name, l.Key, l.Alpha, want)
			}
		}
	}
	for settings, want := range map[string]string{
		`{"unet.alpha_pattern": {"(?!to_q)": 1}}`: `alpha_pattern "(?!to_q)"`,
		`{"unet.alpha_pattern": {"to_q": "1"}}`:   `alpha_pattern "to_q"`,
		`{"unet.alpha_pattern": [1]}`:             "alpha_pattern is [1]",
		`{"unet.lora_alpha": "8"}`:                "lora_alpha",
	} {
		_, err := Outline(safetensorstest.Open(t, map[string]string{"lora_adapter_metadata": settings}, layer(q)...))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "lora_adapter_metadata of the unet") {
			t.Errorf("%s: %v, want it to name %s", settings, err, want)
		}
	}
}

func TestReadFails(t *testing.T) {
	const at = "lora_unet_conv_in."
	for name, c := range map[string]struct {
		tensors []tensor
		want    string
	}{
		"no up":           {[]tensor{f32(at+"lora_down.weight", 0, 2, 3)}, "no counterpart"},
		"two ranks":       {[]tensor{f32(at+"lora_down.weight", 0, 2, 3), f32(at+"lora_up.weight", 0, 5, 4)}, "no rank in common"},
		"mixed":           {[]tensor{f32(at+"lora_down.weight", 0, 2, 3, 3, 3), f32(at+"lora_up.weight", 0, 5, 2)}, "want those of"},
		"an up of 3x3":    {[]tensor{f32(at+"lora_down.weight", 0, 2, 3, 1, 1), f32(at+"lora_up.weight", 0, 5, 2, 3, 3)}, "want those of"},
		"empty":           {[]tensor{f32(at+"lora_down.weight", 0, 0, 3), f32(at+"lora_up.weight", 0, 5, 0)}, "no rank in common"},
		"a list of alpha": {[]tensor{f32(at+"lora_down.weight", 0, 2, 3), f32(at+"lora_up.weight", 0, 5, 2), f32(at+"alpha", 0, 2)}, "one number"},
		"a layer twice":   {[]tensor{f32(at+"lora_down.weight", 0, 2, 3), f32("unet.conv_in.lora_A.weight", 0, 2, 3)}, "are the same"},
		"another kind":    {[]tensor{f32("conv_in.weight", 0, 2, 3)}, "no LoRA's"},
		"LoHa":            {[]tensor{f32(at+"hada_w1_a", 0, 2, 3)}, "LoHa, which is not built"},
		"DoRA":            {[]tensor{f32(at+"dora_scale", 0, 2, 3)}, "DoRA, which is not built"},
	} {
		if layers, err := Read(safetensorstest.Open(t, nil, c.tensors...), UNet); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", name, layers, err, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for key, want := range map[string]string{
		"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight":                       "text_encoder text_model_encoder_layers_0_self_attn_q_proj",
		"lora_te1_text_model_encoder_layers_11_mlp_fc2.alpha":                                       "text_encoder text_model_encoder_layers_11_mlp_fc2",
		"lora_te2_text_model_encoder_layers_31_mlp_fc1.lora_down.weight":                            "text_encoder_2 text_model_encoder_layers_31_mlp_fc1",
		"text_encoder_2.text_model.encoder.layers.0.self_attn.k_proj.lora_linear_layer.down.weight": "text_encoder_2 text_model_encoder_layers_0_self_attn_k_proj",
		"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.up.weight":  "unet up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0",
		"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0.lora.down.weight":        "unet up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0",
		"down_blocks.0.attentions.1.transformer_blocks.0.attn1.processor.to_q_lora.down.weight":     "unet down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q",
		"base_model.model.mid_block.attentions.0.proj_out.lora_A.weight":                            "unet mid_block_attentions_0_proj_out",
		"lora_unet_down_blocks_2_resnets_1_conv2.lora_down.weight":                                  "unet down_blocks_2_resnets_1_conv2",
		"lora_unet_input_blocks_0_0.lora_down.weight":                                               "unet conv_in",
		"lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight":                                   "unet down_blocks_0_resnets_0_conv1",
		"lora_unet_input_blocks_3_0_op.lora_down.weight":                                            "unet down_blocks_0_downsamplers_0_conv",
		"lora_unet_input_blocks_4_0_skip_connection.lora_down.weight":                               "unet down_blocks_1_resnets_0_conv_shortcut",
		"lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q.lora_down.weight":               "unet down_blocks_1_attentions_0_transformer_blocks_1_attn1_to_q",
		"lora_unet_input_blocks_5_1_proj_in.lora_down.weight":                                       "unet down_blocks_1_attentions_1_proj_in",
		"lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_0_proj.lora_down.weight":            "unet down_blocks_2_attentions_1_transformer_blocks_9_ff_net_0_proj",
		"lora_unet_middle_block_0_emb_layers_1.lora_down.weight":                                    "unet mid_block_resnets_0_time_emb_proj",
		"lora_unet_middle_block_1_transformer_blocks_0_attn2_to_out_0.lora_down.weight":             "unet mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0",
		"lora_unet_middle_block_2_out_layers_3.lora_down.weight":                                    "unet mid_block_resnets_1_conv2",
		"lora_unet_output_blocks_0_1_transformer_blocks_0_attn1_to_v.lora_down.weight":              "unet up_blocks_0_attentions_0_transformer_blocks_0_attn1_to_v",
		"lora_unet_output_blocks_2_2_conv.lora_down.weight":                                         "unet up_blocks_0_upsamplers_0_conv",
		"lora_unet_output_blocks_5_1_proj_out.lora_down.weight":                                     "unet up_blocks_1_attentions_2_proj_out",
		"lora_unet_output_blocks_8_0_in_layers_2.lora_down.weight":                                  "unet up_blocks_2_resnets_2_conv1",
		"lora_unet_time_embed_2.lora_down.weight":                                                   "unet time_embedding_linear_2",
		"lora_unet_label_emb_0_0.lora_down.weight":                                                  "unet add_embedding_linear_1",
		"lora_unet_out_2.lora_down.weight":                                                          "unet conv_out",
	} {
		at, _, err := split(key)
		if got := fmt.Sprint(at.part, " ", DiffusersPath(at.path, 2)); err != nil || got != want {
			t.Errorf("%s is %s, want %s: %v", key, got, want, err)
		}
		if !IsKey(key) {
			t.Errorf("%s is none of a LoRA's", key)
		}
	}
	if IsKey("emb_params") || IsKey("<token>") || !IsKey("lora_unet_conv_in.hada_w1_a") {
		t.Error("keys of LoRAs are not told from others")
	}
}

// A model of one residual block a level numbers its blocks by twos.
func TestDiffusersPathOfOneBlock(t *testing.T) {
	for path, want := range map[string]string{
		"input_blocks_1_0_in_layers_2":                          "down_blocks_0_resnets_0_conv1",
		"input_blocks_2_0_op":                                   "down_blocks_0_downsamplers_0_conv",
		"input_blocks_3_1_proj_in":                              "down_blocks_1_attentions_0_proj_in",
		"output_blocks_1_1_transformer_blocks_0_attn1_to_out_0": "up_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0",
		"output_blocks_1_2_conv":                                "up_blocks_0_upsamplers_0_conv",
		"output_blocks_3_0_skip_connection":                     "up_blocks_1_resnets_1_conv_shortcut",
		"down_blocks_0_resnets_0_conv1":                         "down_blocks_0_resnets_0_conv1",
	} {
		if got := DiffusersPath(path, 1); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
