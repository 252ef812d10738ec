package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/internal/api"
)

// counted are the values of a metric by its labels: how often, or of a histogram, how long.
func counted(t *testing.T, r *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
			if f.GetName() != name || value == 0 {
				continue
			}
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetValue() + " "
			}
			values[labels] = value
		}
	}
	return values
}

// Each call is counted once, by what was asked for and what became of it, with its time; nothing that a client sends is a label. R-MET-1
func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	site, err := api.NewSite(api.Settings{Form: api.FormMKA1, Paths: map[string]string{"whoami": "/me"}})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	known := true
	now := time.Unix(1_800_000_000, 0)
	h := api.New(api.Options{
		Site: site, Registerer: registry, MaxInFlight: 1,
		Now:    func() time.Time { now = now.Add(time.Second); return now }, // a call asks twice
		Refuse: func(api.Class) api.Reply { return api.Reply{Status: 503} },
		Guard: func(api.Demand) api.Guard {
			return func(r *http.Request, s *api.Subject, now time.Time) api.Decision {
				if n := counted(t, registry, "postern_api_requests_in_flight")[""]; n != 1 {
					t.Errorf("%v calls are worked on", n)
				}
				if !known {
					return api.Decision{Refusal: api.Reply{Status: 401}}
				}
				return passes(r, s, now)
			}
		},
	})
	call := func(method, path string) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	call("GET", "/me")
	call("HEAD", "/me")
	call("PUT", "/me")
	call("GET", "/nothing/live_secret")
	call("GET", "/.well-known/oauth-authorization-server")
	known = false
	call("GET", "/me")
	want := map[string]float64{"whoami 2xx ": 2, "whoami 4xx ": 2, "none 4xx ": 1, "authorization_server 2xx ": 1}
	if diff := cmp.Diff(want, counted(t, registry, "postern_api_requests_total")); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"whoami ": 4, "none ": 1, "authorization_server ": 1}, counted(t, registry, "postern_api_request_duration_seconds")); diff != "" {
		t.Errorf("seconds (-want +got):\n%s", diff)
	}
	if left := counted(t, registry, "postern_api_requests_in_flight"); len(left) != 0 {
		t.Errorf("at work after all is done: %v", left)
	}
}

// Every series is there before the first call, so that a rate over them begins at nothing.
func TestEverySeriesIsThereFromTheStart(t *testing.T) {
	t.Parallel()
	for form, endpoints := range map[api.Form]int{api.FormDefault: 5, api.FormMKA1: 3, api.FormMLM: 9} {
		site, err := api.NewSite(api.Settings{Form: form, BasePath: "/api/v1"})
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewRegistry()
		api.New(api.Options{Site: site, Registerer: registry, Guard: func(api.Demand) api.Guard { return passes }})
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, f := range families {
			got[f.GetName()] = len(f.GetMetric())
		}
		all := endpoints + 3 // the two documents, and nowhere
		want := map[string]int{"postern_api_requests_total": 4 * all, "postern_api_request_duration_seconds": all, "postern_api_requests_in_flight": 1}
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
	}
}
