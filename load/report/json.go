package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxReport is how many bytes a stored report may have: a long test with many
// events has a few MB.
const maxReport = 256 << 20

// WriteJSON writes the report as indented JSON. Times are in nanoseconds; [Schema]
// says what "schema" means. [Read] reads it.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("load: write the report: %w", err)
	}
	return nil
}

// Read reads a report that WriteJSON has written.
func Read(from io.Reader) (*Report, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxReport+1))
	if err != nil {
		return nil, fmt.Errorf("load: read a report: %w", err)
	}
	if len(data) > maxReport {
		return nil, errors.New("load: read a report: it is too long to be one")
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("load: read a report: %w", err)
	}
	switch {
	case r.Schema == 0:
		return nil, errors.New(`load: read a report: it has no "schema": was it written with --json?`)
	case r.Schema != Schema:
		return nil, fmt.Errorf("load: read a report: its schema is %d, and this version knows %d", r.Schema, Schema)
	}
	return &r, r.check()
}

// check makes sure that nothing is missing which the methods rely on.
func (r *Report) check() error {
	whole := func(latency map[string]*Latency) error {
		for name, l := range latency {
			if l == nil {
				return fmt.Errorf("load: read a report: the latency %q is null", name)
			}
			h, err := l.Histogram()
			if err != nil {
				return fmt.Errorf("load: read a report: the latency %q: %w", name, err)
			}
			if h.Count() != l.Count {
				return fmt.Errorf("load: read a report: the latency %q has a count of %d, and a histogram of %d", name, l.Count, h.Count())
			}
		}
		return nil
	}
	if err := whole(r.Latency); err != nil {
		return err
	}
	for _, s := range r.Series.Samples {
		if err := whole(s.Latency); err != nil {
			return err
		}
	}
	for kind, e := range r.Errors {
		if e == nil {
			return fmt.Errorf("load: read a report: the errors %q are null", kind)
		}
	}
	for _, m := range r.Machines {
		if m.Delay == nil {
			return errors.New("load: read a report: a machine has no delay")
		}
	}
	return nil
}
