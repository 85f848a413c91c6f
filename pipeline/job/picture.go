package job

// Picture is a rendered job: a finished file and how it was made.
type Picture struct {
	Data     []byte            // the encoded file, with its parameters inside
	Ext      string            // the file's extension without the dot: png, jpg, npy
	Width    int               // pixels
	Height   int               // pixels
	Models   map[string]string // name: digest, of everything that shaped the picture
	MadeWith MadeWith
	Timing   map[string]float64 // seconds a stage: open, text, denoise, decode, upscale, encode
}

// MadeWith is what a picture's bits depend on beside its job.
type MadeWith struct {
	Darkroom    string `json:"darkroom"`    // version
	ONNXRuntime string `json:"onnxruntime"` // version
	Provider    string `json:"provider"`    // cpu, cuda, tensorrt
	Device      string `json:"device"`      // the GPU's name, or the processor's and the size of its second cache
	Level       string `json:"level"`       // graph optimisation level, and the rows of a call where that matters
}
