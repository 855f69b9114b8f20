package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Short returns a duration with three digits: 26.4µs, 1.28ms, 2.05s, 3m20s.
func Short(d time.Duration) string {
	v := float64(d)
	switch {
	case d < 0:
		return "-" + Short(-d)
	case d == 0:
		return "0"
	case d < time.Microsecond:
		return digits3(v) + "ns"
	case d < 999500:
		return digits3(v/1e3) + "µs"
	case d < 999500*time.Microsecond:
		return digits3(v/1e6) + "ms"
	case d < time.Minute:
		return digits3(v/1e9) + "s"
	default:
		return d.Round(time.Second).String()
	}
}

// digits3 returns a number below 1000 with three digits.
func digits3(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	default:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
}

// Count returns a number with commas: 1,234,567.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// Rate returns a number a second: 0.53, 12.4, 1,234.
func Rate(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	if f < 100 {
		return strings.TrimSuffix(digits3(f), ".00")
	}
	return Count(int64(math.Round(f)))
}

// Bytes returns a number of bytes: 512 B, 3.4 kB, 1.2 GB.
func Bytes(f float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", f)
	}
	return digits3(f) + " " + units[i]
}

// Percent returns a part of 1 as a percentage.
func Percent(f float64) string {
	switch {
	case f == 0:
		return "0 %"
	case f < 0.0001:
		return strconv.FormatFloat(f*100, 'g', 2, 64) + " %"
	default:
		return digits3(f*100) + " %"
	}
}
