package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/darkroom/darkroom/pipeline/imaging"
	"github.com/darkroom/darkroom/pipeline/job"
)

// preprocessors make of a picture what its ControlNet is shown. None needs a
// model of its own.
var preprocessors = map[string]func(*imaging.Bitmap) *imaging.Bitmap{
	"":          func(b *imaging.Bitmap) *imaging.Bitmap { return b },
	"none":      func(b *imaging.Bitmap) *imaging.Bitmap { return b },
	"canny":     func(b *imaging.Bitmap) *imaging.Bitmap { return b.Canny(100, 200) }, // the usual thresholds
	"luminance": (*imaging.Bitmap).Luminance,
	"tile":      (*imaging.Bitmap).Tile,
}

// openLeads decodes what leads a job, as large as what is painted: planes of
// 0 .. 1, [3 height width] each. Where an edit paints a part of its picture only,
// that part of what leads it counts.
func openLeads(ctx context.Context, order job.Order, from *source) ([][]float32, error) {
	spec := order.Spec
	var all [][]float32
	for i, control := range spec.Control {
		prepare, ok := preprocessors[control.Preprocess]
		if !ok {
			return nil, job.Bad(fmt.Errorf("control %d: no preprocessor is called %q", i, control.Preprocess))
		}
		picture, err := openInput(ctx, order, control.Image, (*imaging.File).RGB)
		if err != nil {
			return nil, fmt.Errorf("the image of control %d: %w", i, err)
		}
		if from != nil && from.whole != nil {
			picture = picture.Resize(from.whole.Width, from.whole.Height).Crop(from.region).Fill(spec.Width, spec.Height)
		} else {
			picture = picture.Resize(spec.Width, spec.Height)
		}
		picture = prepare(picture)
		size := spec.Width * spec.Height
		planes := make([]float32, colors*size)
		for j, v := range picture.Pix {
			planes[j%colors*size+j/colors] = float32(v) / 255
		}
		all = append(all, planes)
	}
	return all, nil
}

// leaders are what leads a job's UNet: ControlNets of their own, or those that
// the UNet's graph holds.
type leaders struct {
	pictures [][]float32
	nets     []*controlNet // one for each of the job's controls, unless the UNet holds them
	led      *unet         // the UNet with inputs for residuals; nil: it has them itself
	alone    bool          // led does other bits than the UNet, so that they share no calls
}

// leading are what the shelf is to lend beside a job's pipeline: its UNet with
// inputs for residuals, where it has none itself, and ControlNets.
func (r *Renderer) leading(spec job.Spec) ([]wanted, error) {
	if len(spec.Control) == 0 || spec.Control[0].Model == spec.Model {
		return nil, nil
	}
	entry, m, err := r.library.find(spec.Model, job.PipelineModel)
	if err != nil {
		return nil, blame(err)
	}
	var wants []wanted
	if !slices.ContainsFunc(r.library.unetInputs(entry, m.Digest), isResidual) {
		taught, err := r.lessons(spec)
		if err != nil {
			return nil, blame(err)
		}
		led := r.part(spec.Model, unetPart, taught.of(unetPart), func(f *folder) (loaded, error) { return loadLed(r.lanes, f) })
		led.key += ", led"
		wants = append(wants, led)
	}
	for _, control := range spec.Control {
		wants = append(wants, r.controlNet(control.Model))
	}
	return wants, nil
}

// leaders makes what the shelf lent ready to lead a job.
func (r *Renderer) leaders(ctx context.Context, m *model, lent []loaded, order job.Order, from *source) (*leaders, error) {
	spec := order.Spec
	if len(spec.Control) == 0 {
		return nil, nil
	}
	l := &leaders{}
	for _, one := range lent {
		switch one := one.(type) {
		case *unet:
			l.led = one
		case *controlNet:
			if err := one.fits(m.folder); err != nil {
				return nil, err
			}
			l.nets = append(l.nets, one)
		}
	}
	if l.nets == nil && len(spec.Control) > m.unet.fused {
		return nil, job.Bad(fmt.Errorf("%d ControlNets are asked for, and the model's UNet holds %d", len(spec.Control), m.unet.fused))
	}
	if l.led != nil {
		same, err := l.led.like(ctx, m.unet, m.folder)
		if err != nil {
			return nil, err
		}
		l.alone = !same
	}
	var err error
	l.pictures, err = openLeads(ctx, order, from)
	return l, err
}

// takes tells whether the ControlNets can be fed with texts of so many tokens.
func (l *leaders) takes(tokens int) error {
	for _, net := range l.nets {
		if err := net.unet.takes(tokens); err != nil {
			return fmt.Errorf("the ControlNet %s: %w", net.Name, err)
		}
	}
	return nil
}

// madeWith adds to what pictures are made with what is true of those that are led.
func (l *leaders) madeWith(made job.MadeWith) job.MadeWith {
	if l.led != nil {
		made = l.led.madeWith(made)
	}
	for _, net := range l.nets {
		made = net.unet.madeWith(made)
	}
	return made
}

// lead is what leads a job, at work. It allocates nothing at a step.
type lead struct {
	rows      Rows
	controls  []job.Control
	nets      []*controlNet
	rowsOf    [][2]Row       // by control: what its ControlNet is fed with, unconditional and conditional
	residuals [2][][]float32 // of the UNet's rows, unconditional and conditional
	scales    []float32      // of the ControlNets that the UNet holds
}

// newLead prepares the rows of ControlNets for UNet rows like these.
func newLead(rows Rows, controls []job.Control, by *leaders, pair *[2]Row) *lead {
	l := &lead{rows: rows, controls: controls, nets: by.nets}
	if by.nets == nil {
		l.scales = make([]float32, len(pair[1].Scales))
		for i := range pair {
			pair[i].Pictures, pair[i].Scales = by.pictures, l.scales
		}
		return l
	}
	for i, net := range by.nets {
		scales := net.scales(controls[i])
		like := *pair
		for j := range like {
			like[j].Out, like[j].Beside, like[j].Guidance = nil, nil, nil
			like[j].Pictures, like[j].Scales = by.pictures[i:i+1], scales
			if like[j].Text != nil && l.residuals[j] == nil && (j == 1 || !net.guesses(controls[i])) {
				l.residuals[j] = reserve(net.unet.gives, like[j].Height, like[j].Width)
			}
			like[j].Residuals = l.residuals[j]
		}
		l.rowsOf = append(l.rowsOf, like)
	}
	return l
}

// apply has the ControlNets lead rows of the i-th of n evaluations: the
// unconditional and the conditional, or that alone.
func (l *lead) apply(ctx context.Context, rows []Row, i, n int) error {
	for k := range l.scales {
		if l.scales[k] = 0; k < len(l.controls) && active(l.controls[k], i, n) {
			l.scales[k] = float32(l.controls[k].Scale)
		}
	}
	for j := range rows {
		rows[j].Residuals = nil
	}
	for k, net := range l.nets {
		if !active(l.controls[k], i, n) {
			continue
		}
		led := rows
		if net.guesses(l.controls[k]) {
			led = rows[len(rows)-1:]
		}
		first := 2 - len(led)
		for j := range led {
			residuals := l.residuals[first+j]
			if led[j].Residuals == nil {
				forget(residuals)
				led[j].Residuals = residuals
			}
			one := &l.rowsOf[k][first+j]
			one.Sample, one.Timestep, one.Residuals = led[j].Sample, led[j].Timestep, residuals
		}
		if err := l.rows.Lead(ctx, k, l.rowsOf[k][first:]); err != nil {
			return fmt.Errorf("the ControlNet %s: %w", net.Name, err)
		}
	}
	return nil
}

// active tells whether a control does anything at the i-th of n evaluations: all
// of it lies within start and end.
func active(c job.Control, i, n int) bool {
	return c.Scale != 0 && float64(i)/float64(n) >= c.Start && float64(i+1)/float64(n) <= c.End
}

// guesses tells whether a ControlNet leads conditional rows only.
func (c *controlNet) guesses(control job.Control) bool {
	return control.GuessMode || c.unet.gives[0].pooled
}

// scales are what the residuals are multiplied by: the control's scale, in guess
// mode falling to a tenth of it towards the first.
func (c *controlNet) scales(control job.Control) []float32 {
	scales := make([]float32, len(c.unet.gives))
	for i := range scales {
		factor := float32(1)
		if last := float64(len(scales) - 1); control.GuessMode && !c.unet.gives[0].pooled {
			factor = float32(math.Pow(10, float64(i)/last-1))
		}
		scales[i] = factor * float32(control.Scale)
	}
	return scales
}
