package metrics

import (
	"context"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/darkroom/darkroom/producer/batch"
)

// depths asks Redis for the depth of queues when it is scraped. All consumers
// of a queue tell the same of it.
type depths struct {
	queues map[string]*batch.Queue
	tasks  *prometheus.Desc
}

// scrapePatience is how long a scrape waits for Redis.
const scrapePatience = 2 * time.Second

// Depths adds the depth of queues, by their names.
func (m *Metrics) Depths(queues map[string]*batch.Queue) {
	m.registry.MustRegister(depths{maps.Clone(queues), prometheus.NewDesc("darkroom_queue_tasks",
		"Tasks on the queue, by state, as Redis has it: a window of the lines that are open. Absent while Redis is away.",
		[]string{"queue", "state"}, nil)})
}

func (d depths) Describe(to chan<- *prometheus.Desc) { to <- d.tasks }

func (d depths) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	for name, q := range d.queues {
		depth, err := q.Depth(ctx)
		if err != nil {
			continue // counted as an error of Redis
		}
		for state, n := range depth {
			to <- prometheus.MustNewConstMetric(d.tasks, prometheus.GaugeValue, float64(n), name, state)
		}
	}
}
