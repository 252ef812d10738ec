// Command upstream is the quickstart's product: it answers every request with the headers that reached it.
// With -get it is the client, for machines without curl.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	err := errors.New("usage: upstream HOST:PORT, or upstream -get URL ['Name: value']")
	switch {
	case len(os.Args) == 2:
		server := &http.Server{Addr: os.Args[1], Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 5 * time.Second}
		err = server.ListenAndServe()
	case len(os.Args) > 2 && os.Args[1] == "-get":
		err = get(os.Args[2], os.Args[3:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	text := r.Method + " " + r.URL.Path + "\n" + lines(r.Header)
	_, _ = io.WriteString(w, text) // a client that is gone needs no answer
}

func get(url string, headers []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ":")
		request.Header.Add(name, strings.TrimSpace(value))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	fmt.Printf("%s %s\n%s\n%s", response.Proto, response.Status, lines(response.Header), body)
	return errors.Join(err, response.Body.Close())
}

// lines returns one line for each value, sorted by name.
func lines(h http.Header) string {
	var text strings.Builder
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			text.WriteString(strings.ToLower(name) + ": " + value + "\n")
		}
	}
	return text.String()
}
