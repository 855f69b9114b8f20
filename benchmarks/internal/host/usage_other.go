//go:build !unix

package host

import (
	"errors"
	"time"
)

func usage() (time.Duration, error) { return 0, errors.ErrUnsupported }
