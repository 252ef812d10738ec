package extauthz_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// counted is newGate with its metrics.
func counted(tb testing.TB, o extauthz.Options) (*gate, *prometheus.Registry) {
	tb.Helper()
	registry := prometheus.NewPedanticRegistry()
	o.Registerer = registry
	return newGate(tb, o), registry
}

func TestADecisionIsCountedOnce(t *testing.T) {
	t.Parallel()
	g, registry := counted(t, options(t))
	id, key := g.create(keystore.KeySpec{})
	unused, refusedKey := g.create(keystore.KeySpec{OnBehalfOf: keystore.DelegationNone})
	allowed := g.Authorize(t.Context(), get("/", "x-api-key: "+key, "x_tenant_id: evil"), noon())
	refused := g.Authorize(t.Context(), get("/", "x-api-key: "+refusedKey, "x-on-behalf-of: ada"), noon())
	g.Count(&allowed, 30*time.Microsecond, noon())
	g.Count(&allowed, time.Second, noon())
	g.Count(&refused, 2*time.Second, noon())
	got, _ := counts(t, registry)
	want := map[string]float64{
		"decisions_total allowed allow": 2, "decisions_total end_user_refused deny": 1, "spoofed_requests_total": 2, "check_duration_seconds": 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}

	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.keys.Run(done); err != nil { // flushes once, and is done
		t.Fatal(err)
	}
	k, err := g.keys.Key(t.Context(), id, noon())
	if err != nil || !k.LastUsedAt.Equal(noon()) {
		t.Errorf("last used %v, %v, want noon", k.LastUsedAt, err)
	}
	if k, err = g.keys.Key(t.Context(), unused, noon()); err != nil || !k.LastUsedAt.IsZero() {
		t.Errorf("the refused key was last used %v, %v, want never", k.LastUsedAt, err)
	}
}

// counts reads what is not 0, "name label…" → count or number of observations, and says how many series there are.
func counts(tb testing.TB, registry *prometheus.Registry) (got map[string]float64, series int) {
	tb.Helper()
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	got = map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series++
			name := strings.TrimPrefix(f.GetName(), "postern_")
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()); n != 0 {
				got[name] = n
			}
		}
	}
	return got, series
}

func TestLabelsComeFromClosedSets(t *testing.T) { // R-MET-1
	t.Parallel()
	g, registry := counted(t, options(t))
	_, before := counts(t, registry)
	if want := len(slices.Collect(extauthz.Reasons())) + 2; before != want {
		t.Errorf("%d series at first, want %d", before, want)
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string { return fmt.Sprintf("%x", random.Uint64()) }
	for range 10_000 {
		r := request(text(), text(), "/"+text(), "x-api-key: live_"+text(), text()+": "+text(), "x-on-behalf-of: "+text())
		r.Policy = extauthz.Extension{Present: random.IntN(2) == 0, Value: text()}
		d := g.Authorize(t.Context(), r, noon())
		g.Count(&d, time.Duration(random.Int64N(int64(time.Second))), noon())
	}
	if _, after := counts(t, registry); after != before {
		t.Errorf("%d series after random requests, %d before", after, before)
	}
}

func TestASecondAuthorizerGoesOnCounting(t *testing.T) {
	t.Parallel()
	g, registry := counted(t, options(t))
	second := g.with(func(*extauthz.Options) {})
	d := g.Authorize(t.Context(), get("/"), noon())
	g.Count(&d, 0, noon())
	second.Count(&d, 0, noon())
	if got, _ := counts(t, registry); got["decisions_total credential_missing deny"] != 2 {
		t.Errorf("counted %v, want 2", got)
	}
}

func TestAForeignMetricOfThatNameIsAnError(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"postern_decisions_total", "postern_spoofed_requests_total", "postern_check_duration_seconds"} {
		o := options(t)
		registry := prometheus.NewRegistry()
		registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "foreign"}))
		o.Registerer = registry
		if a, err := extauthz.New(o); err == nil || a != nil {
			t.Errorf("with a foreign %s: %v, %v, want an error", name, a, err)
		}
	}
}
