package job

import (
	"slices"
	"strings"

	"github.com/darkroom/darkroom/pipeline/sampler"
)

// nameSampler replaces other programs' names of a sampler and of a schedule
// by the project's own, and checks that the two go together. Without a
// sampler, which is then the model's, there is nothing to do yet.
func (s *Spec) nameSampler() Faults {
	if s.Sampler == "" {
		return nil
	}
	implied := ""
	if _, own := sampler.Describe(s.Sampler); !own {
		name, schedule, err := sampler.Resolve(s.Sampler)
		if err != nil {
			return Faults{{Field: "sampler", What: backticks(err)}}
		}
		s.Sampler, implied = name, schedule
	}
	if s.Schedule == "" {
		s.Schedule = implied
		return nil
	}
	schedule := s.Schedule
	if !slices.Contains(sampler.Schedules(s.Sampler), schedule) { // the other is slow
		var err error
		if schedule, err = sampler.ResolveSchedule(s.Sampler, schedule); err != nil {
			return Faults{{Field: "schedule", What: backticks(err)}}
		}
	}
	if implied != "" && schedule != implied {
		return Faults{{"schedule", "not the one in the sampler's name:", shorten(s.Schedule), "want `" + implied + "`, or leave it out"}}
	}
	s.Schedule = schedule
	return nil
}

// backticks quotes names in the way of a fault.
func backticks(err error) string { return strings.ReplaceAll(err.Error(), `"`, "`") }
