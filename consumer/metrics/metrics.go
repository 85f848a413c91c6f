// Package metrics counts what a consumer does, in the terms of Prometheus, and
// serves it over HTTP with the consumer's health.
//
// Names and labels hold queues, classes of failures, stages and what was built:
// nothing of a job, and no address with a password.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/darkroom/darkroom/producer/batch"
)

// Metrics are a consumer's counts since it began. All methods may be called
// concurrently.
type Metrics struct {
	registry *prometheus.Registry

	running      *prometheus.GaugeVec
	done         *prometheus.CounterVec
	failed       *prometheus.CounterVec
	attempts     *prometheus.CounterVec
	preempted    *prometheus.CounterVec
	withoutModel *prometheus.CounterVec
	stages       *prometheus.HistogramVec
	storeErrors  *prometheus.CounterVec
	redisErrors  prometheus.Counter
}

// stageBuckets are seconds: a house model's stages take milliseconds, a large
// model's on a CPU minutes.
var stageBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000}

// New returns the metrics of a consumer of some queues.
func New(queues ...string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "darkroom", Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "darkroom", Name: "jobs_running", Help: "Jobs that this consumer is rendering.",
		}, []string{"queue"}),
		done:         counter("lines_done_total", "Lines to which this consumer gave their picture.", "queue"),
		failed:       counter("lines_failed_total", "Lines to which this consumer gave a dead letter, by the failure's class.", "queue", "class"),
		attempts:     counter("attempts_failed_total", "Attempts at a job that failed here, the last of a dead letter included, by the failure's class.", "queue", "class"),
		preempted:    counter("jobs_preempted_total", "Jobs that were put back to the head of the queue because this consumer ends.", "queue"),
		withoutModel: counter("jobs_without_model_total", "Jobs that were put back because this consumer has not their model.", "queue"),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "darkroom", Name: "stage_seconds", Help: "Time of a picture's stages, in seconds.", Buckets: stageBuckets,
		}, []string{"stage"}),
		storeErrors: counter("store_errors_total", "Calls of the store that failed, by operation.", "operation"),
		redisErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "darkroom", Name: "redis_errors_total", Help: "Commands to Redis that failed.",
		}),
	}
	m.registry.MustRegister(
		m.running, m.done, m.failed, m.attempts, m.preempted, m.withoutModel, m.stages, m.storeErrors, m.redisErrors,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, queue := range queues { // from the start at 0, so that the first one is seen as one more
		m.running.WithLabelValues(queue)
		for _, c := range []*prometheus.CounterVec{m.done, m.preempted, m.withoutModel} {
			c.WithLabelValues(queue)
		}
	}
	for _, operation := range operations {
		m.storeErrors.WithLabelValues(operation)
	}
	return m
}

// Gather implements [prometheus.Gatherer].
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) { return m.registry.Gather() }

// Running counts a job that is being rendered, until over is called.
func (m *Metrics) Running(queue string) (over func()) {
	running := m.running.WithLabelValues(queue)
	running.Inc()
	return running.Dec
}

// Ended counts a line that has its record from this consumer.
func (m *Metrics) Ended(queue string, r batch.Record) {
	if r.Status != batch.Done {
		m.failed.WithLabelValues(queue, r.Class).Inc()
		return
	}
	m.done.WithLabelValues(queue).Inc()
	for stage, seconds := range r.Timing {
		m.Stage(stage, seconds)
	}
}

// Stage counts the time of a picture's stage.
func (m *Metrics) Stage(stage string, seconds float64) {
	m.stages.WithLabelValues(stage).Observe(seconds)
}

// AttemptFailed counts an attempt that failed.
func (m *Metrics) AttemptFailed(queue, class string) { m.attempts.WithLabelValues(queue, class).Inc() }

// Preempted counts a job that goes back to the head of its queue.
func (m *Metrics) Preempted(queue string) { m.preempted.WithLabelValues(queue).Inc() }

// WithoutModel counts a job that is left to a consumer with its model.
func (m *Metrics) WithoutModel(queue string) { m.withoutModel.WithLabelValues(queue).Inc() }
