package main

import (
	"errors"
	"os"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/host"
)

// maxOthers is how many CPUs' worth of time others may use during a run before
// it is repeated.
const maxOthers = 0.10

// watch is the state of the CPUs before a run.
type watch struct {
	at             time.Time
	seats          seats
	serverPID      int
	busy, our, srv time.Duration
}

func startWatch(s seats, serverPID int) (w watch, err error) {
	w = watch{at: time.Now(), seats: s, serverPID: serverPID}
	w.busy, w.our, w.srv, err = w.read()
	return w, err
}

func (w watch) read() (busy, our, srv time.Duration, err error) {
	busy, err1 := host.Busy(w.seats.all)
	our, err2 := host.Usage()
	srv, err3 := host.ProcessUsage(w.serverPID)
	return busy, our, srv, errors.Join(err1, err2, err3)
}

// others returns how many CPUs' worth of time neither this process nor the
// server nor the client, which has used so much, account for.
func (w watch) others(client time.Duration) (float64, error) {
	busy, our, srv, err := w.read()
	if err != nil {
		return 0, err
	}
	rest := (busy - w.busy) - (our - w.our) - (srv - w.srv) - client
	return max(0, rest.Seconds()/time.Since(w.at).Seconds()), nil
}

// quietest repeats a run while others disturb it, and returns the one that was
// disturbed least. Where the server's process is not known, one run has to do.
func quietest(s seats, serverPID, attempts int, run func() (sample, time.Duration, error)) (sample, error) {
	if serverPID == 0 {
		got, _, err := run()
		return got, err
	}
	var best sample
	for attempt := range attempts {
		w, errWatch := startWatch(s, serverPID)
		got, used, err := run()
		if err != nil {
			return sample{}, err
		}
		if errWatch == nil {
			got.Others, errWatch = w.others(used)
		}
		if errors.Is(errWatch, errors.ErrUnsupported) || errors.Is(errWatch, os.ErrNotExist) {
			return got, nil // A system that does not tell.
		}
		if errWatch != nil {
			return sample{}, errWatch
		}
		if attempt == 0 || got.Others < best.Others {
			best = got
		}
		if best.Others <= maxOthers {
			break
		}
	}
	return best, nil
}
