// Command notes is the product behind the gate in the walkthroughs of mka1 and mlm: it keeps notes apart by the headers that
// Postern sets, and believes them only from a request that carries Postern's own short-lived JWT, where it is told to.
//
//	notes serve ADDRESS OWNER,HEADERS [ISSUER AUDIENCE KEYS_URL]
//	notes provider ADDRESS FOLDER
//
// provider is an identity provider for tests: it serves what is in the folder over https, with a certificate of a CA that it
// makes and writes to FOLDER/ca.pem.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "provider":
		return serveProvider(args[1], args[2])
	case len(args) == 3 && args[0] == "serve":
		return listen(args[1], newStore(args[2], nil))
	case len(args) == 6 && args[0] == "serve":
		return listen(args[1], newStore(args[2], newGuard(args[3], args[4], args[5])))
	}
	return errors.New("usage: notes serve ADDRESS OWNER,HEADERS [ISSUER AUDIENCE KEYS_URL], or notes provider ADDRESS FOLDER")
}

func listen(address string, s *store) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/notes", s.create)
	mux.HandleFunc("GET /api/v1/notes", s.list)
	mux.HandleFunc("GET /api/v1/notes/{id}", s.read)
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/count" { // asked by the walkthrough, not through the gate
			s.reply(w, r, http.StatusOK, map[string]any{"requests": s.requests()})
			return
		}
		s.count()
		if err := s.guard.check(r); err != nil {
			s.reply(w, r, http.StatusUnauthorized, map[string]any{"error": "not from the gate: " + err.Error()})
			return
		}
		mux.ServeHTTP(w, r)
	})
	server := &http.Server{Addr: address, Handler: counted, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

// store keeps the notes of all owners. An owner is what the headers say, one after the other; a note of another owner does not
// exist.
type store struct {
	headers []string
	guard   *guard // nil: every request is believed

	mu    sync.Mutex // guards the fields below
	notes []note
	seen  int
}

type note struct{ owner, text string }

func newStore(headers string, g *guard) *store {
	return &store{headers: strings.Split(headers, ","), guard: g}
}

func (s *store) owner(r *http.Request) string {
	var all []string
	for _, name := range s.headers {
		all = append(all, strconv.Quote(r.Header.Get(name)))
	}
	return strings.Join(all, " ")
}

func (s *store) create(w http.ResponseWriter, r *http.Request) {
	var body struct{ Text string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&body); err != nil {
		s.reply(w, r, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	s.mu.Lock()
	s.notes = append(s.notes, note{s.owner(r), body.Text})
	id := len(s.notes)
	s.mu.Unlock()
	s.reply(w, r, http.StatusCreated, map[string]any{"id": id, "text": body.Text})
}

func (s *store) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	ids := []int{}
	for i, n := range s.notes {
		if n.owner == s.owner(r) {
			ids = append(ids, i+1)
		}
	}
	s.mu.Unlock()
	s.reply(w, r, http.StatusOK, map[string]any{"notes": ids})
}

func (s *store) read(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 is no note
	s.mu.Lock()
	var found *note
	if id > 0 && id <= len(s.notes) && s.notes[id-1].owner == s.owner(r) {
		found = &s.notes[id-1]
	}
	s.mu.Unlock()
	if found == nil {
		s.reply(w, r, http.StatusNotFound, map[string]any{"error": "no such note"})
		return
	}
	s.reply(w, r, http.StatusOK, map[string]any{"id": id, "text": found.text})
}

func (s *store) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
}

func (s *store) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// reply adds what the request was seen as: the walkthrough shows it.
func (s *store) reply(w http.ResponseWriter, r *http.Request, status int, body map[string]any) {
	seen := map[string]string{}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-") || name == "Authorization" {
			seen[strings.ToLower(name)] = strings.Join(values, " | ")
		}
	}
	if seen["authorization"] != "" {
		seen["authorization"] = "present"
	}
	body["seen"] = seen
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
}
