//go:build !linux

package host

import (
	"errors"
	"time"
)

func residentMemory() (int64, error) { return 0, errors.ErrUnsupported }

func cpus() ([]int, error) { return nil, errors.ErrUnsupported }

func busy([]int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func processUsage(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func onCPU(int, func() error) error { return errors.ErrUnsupported }
