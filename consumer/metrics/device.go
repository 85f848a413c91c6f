package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Device is what a renderer tells of its device at a moment.
type Device struct {
	Lanes              int           // calls that may run side by side
	Calls, Rows, Slots uint64        // calls so far, rows in them, and rows that they had room for
	Busy, Idle         time.Duration // of all lanes: inside calls, and free while rows waited

	Models       int   // loaded
	ModelBytes   int64 // what they take of the memory for models
	MemoryBudget int64 // the memory for models; 0: no bound
}

// device asks a renderer when it is scraped.
type device struct{ ask func() Device }

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("darkroom_"+name, help, nil, nil)
}

var (
	lanesDesc  = describe("engine_lanes", "Calls of the engine that may run side by side.")
	callsDesc  = describe("engine_calls_total", "Calls of the engine: steps of the UNet, text encodings and decodings.")
	rowsDesc   = describe("engine_rows_total", "Rows in the engine's calls. Over engine_calls_total: rows a call.")
	slotsDesc  = describe("engine_row_slots_total", "Rows for which the engine's calls had room. engine_rows_total over it: how full calls are.")
	busyDesc   = describe("engine_busy_seconds_total", "Time of the engine's lanes inside calls, in seconds. Over its sum with engine_idle_seconds_total: occupancy.")
	idleDesc   = describe("engine_idle_seconds_total", "Time of the engine's free lanes while rows waited, in seconds.")
	modelsDesc = describe("models_loaded", "Models that are loaded.")
	bytesDesc  = describe("model_memory_bytes", "What the loaded models take, by the size of their files.")
	budgetDesc = describe("model_memory_budget_bytes", "What loaded models may take; 0 for no bound.")
)

// Device adds what a renderer tells of its device.
func (m *Metrics) Device(ask func() Device) { m.registry.MustRegister(device{ask}) }

func (d device) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{lanesDesc, callsDesc, rowsDesc, slotsDesc, busyDesc, idleDesc, modelsDesc, bytesDesc, budgetDesc} {
		to <- desc
	}
}

func (d device) Collect(to chan<- prometheus.Metric) {
	now := d.ask()
	tell := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
		to <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	tell(lanesDesc, prometheus.GaugeValue, float64(now.Lanes))
	tell(callsDesc, prometheus.CounterValue, float64(now.Calls))
	tell(rowsDesc, prometheus.CounterValue, float64(now.Rows))
	tell(slotsDesc, prometheus.CounterValue, float64(now.Slots))
	tell(busyDesc, prometheus.CounterValue, now.Busy.Seconds())
	tell(idleDesc, prometheus.CounterValue, now.Idle.Seconds())
	tell(modelsDesc, prometheus.GaugeValue, float64(now.Models))
	tell(bytesDesc, prometheus.GaugeValue, float64(now.ModelBytes))
	tell(budgetDesc, prometheus.GaugeValue, float64(now.MemoryBudget))
}

// Build says what the consumer is, in the labels of a metric that is 1.
func (m *Metrics) Build(version, onnxruntime, provider string) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "darkroom", Name: "build_info", Help: "1, with what renders in its labels.",
		ConstLabels: prometheus.Labels{"version": version, "onnxruntime": onnxruntime, "provider": provider},
	})
	build.Set(1)
	m.registry.MustRegister(build)
}
