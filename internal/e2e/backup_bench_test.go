package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkBackup measures checks at 1,000 and 2,000 a second while a database with a million keys is backed up and examined again and again, and without. Both run
// on one server in turns, so that what drifts drifts for both.
func BenchmarkBackup(b *testing.B) {
	k := newBenchKit(b)
	s := k.server("million", 1_000_000, 1)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	server := exec.CommandContext(ctx, k.postern, "serve", "--config", s.config)
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	s.await()
	for _, rate := range []int{1000, 2000} {
		for _, command := range []string{"backup", "check"} {
			var with, without, ratios []float64
			for range 5 {
				alone := s.tail(server.Process.Pid, rate, quiet)
				working, stop := context.WithCancel(ctx)
				done := make(chan int)
				go func() { done <- s.work(working, command) }()
				busy := s.tail(server.Process.Pid, rate, 2)
				stop()
				if n := <-done; n == 0 {
					b.Log("the work was not done once in this round")
				}
				with, without, ratios = append(with, busy), append(without, alone), append(ratios, busy/alone)
			}
			b.Logf("%d/s, store %s: p99.9 %.0f µs, alone %.0f µs, ratio %.2f (%.2f–%.2f)",
				rate, command, median(with), median(without), median(ratios), slices.Min(ratios), slices.Max(ratios))
		}
	}
	cancel()
	_ = server.Wait()
}

// median sorts figures and returns the middle one.
func median(figures []float64) float64 {
	slices.Sort(figures)
	return figures[len(figures)/2]
}

// await waits for the first right answer.
func (s *benchServer) await() {
	s.kit.b.Helper()
	for range 12_000 {
		once := exec.Command(filepath.Join(s.kit.tools, "load"), "-once", "-k", "1", "-addr", s.authz, "-keys", s.keys())
		if once.Run() == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.kit.b.Fatal("no right answer within a minute")
}

// quiet is how many cores other processes may use while checks are measured alone.
const quiet = 0.3

// tail is the p99.9 of some seconds of load, in microseconds, while other processes used at most so many cores: it is measured again until they do.
func (s *benchServer) tail(pid, rate int, others float64) float64 {
	b := s.kit.b
	b.Helper()
	for range 60 {
		if p999, used := s.measure(pid, rate); used <= others {
			return p999
		}
		time.Sleep(5 * time.Second)
	}
	b.Fatal("other processes use the machine")
	return 0
}

func (s *benchServer) measure(pid, rate int) (p999, others float64) {
	b := s.kit.b
	b.Helper()
	load := exec.CommandContext(b.Context(), filepath.Join(s.kit.tools, "load"), "-addr", s.authz, "-keys", s.keys(), "-pid", strconv.Itoa(pid),
		"-rate", strconv.Itoa(rate), "-k", "2", "-d", "10s", "-expect", "any") // who was denied is counted below
	load.Stderr = os.Stderr
	text, err := load.Output()
	if err != nil {
		b.Fatal(err)
	}
	var r struct {
		P999   float64 `json:"p999_us"`
		Denied uint64  `json:"denied"`
		Errors uint64  `json:"errors"`
		Others float64 `json:"other_cores"`
	}
	if err := json.Unmarshal(text, &r); err != nil || r.Denied > 0 {
		b.Fatalf("%s: %v", text, err)
	}
	if r.Errors > 0 {
		b.Logf("%d checks had no answer, while other processes used %.1f cores", r.Errors, r.Others)
	}
	return r.P999, r.Others
}

// work does the work of a verb of store again and again until ctx ends, and returns how often.
func (s *benchServer) work(ctx context.Context, verb string) (times int) {
	for n := 0; ; n++ {
		args := []string{"store", verb, "--config", s.config}
		file := filepath.Join(s.dir, fmt.Sprintf("backup%d.db", n))
		if verb == "backup" {
			args = append(args, file)
		}
		command := exec.CommandContext(ctx, s.kit.postern, args...)
		command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
		out, err := command.CombinedOutput()
		_ = os.Remove(file)
		if ctx.Err() != nil {
			return times + 1 // it was under way
		}
		if err != nil {
			s.kit.b.Errorf("%v\n%s", err, out)
			return times
		}
		times++
	}
}
