package job

import "fmt"

// resolveControl gives ControlNets that the model holds that model's name, and
// checks what a job says of them.
func (s *Spec) resolveControl(m Model) (faults Faults) {
	fault := func(i int, field, what, want string) {
		faults = append(faults, Fault{Field: fmt.Sprintf("control[%d]", i) + field, What: what, Want: want})
	}
	for i := range s.Control {
		c := &s.Control[i]
		switch name, _ := Pinned(c.Model); {
		case m.Controls == 0 && c.Model == "":
			fault(i, ".model", "missing", "want a ControlNet's name")
		case m.Controls == 0:
		case c.Model != "" && name != m.Name:
			fault(i, ".model", name+" can't be used with "+m.Name, fmt.Sprintf("this model's UNet holds ControlNets (%d of them) and takes no others: leave the name out", m.Controls))
		case i >= m.Controls:
			fault(i, "", "one too many", fmt.Sprintf("this model's UNet holds %d ControlNets", m.Controls))
		case c.GuessMode:
			fault(i, ".guess_mode", "out of place", "this model's UNet holds its ControlNets, which lead all rows alike")
		default:
			c.Model = m.Ref()
		}
	}
	return faults
}
