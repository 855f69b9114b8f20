package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/phxgo/phoenix/load"
)

// A page is the file of --html; nil if there is none.
type page struct {
	file *os.File
	// made says that there was no such file before.
	made bool
}

// createHTML opens the file before the test. What is in it stays until there is a
// report.
func (f *loadFlags) createHTML() (*page, error) {
	if f.html == "" {
		return nil, nil //nolint:nilnil // no page
	}
	const mode = 0o666 // as the user's umask says
	file, err := os.OpenFile(f.html, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(f.html, os.O_WRONLY, mode)
	}
	if err != nil {
		return nil, fmt.Errorf("--html: %w", err)
	}
	return &page{file, made}, nil
}

func (p *page) write(r *load.Report) error {
	if p == nil {
		return nil
	}
	var err error
	if info, failed := p.file.Stat(); failed == nil && info.Mode().IsRegular() {
		err = p.file.Truncate(0)
	}
	if err = errors.Join(err, r.WriteHTML(p.file), p.file.Close()); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

// discard removes the page of a test that did not happen, but no older one.
func (p *page) discard() error {
	if p == nil {
		return nil
	}
	err := p.file.Close()
	if p.made {
		err = errors.Join(err, os.Remove(p.file.Name()))
	}
	return err
}
