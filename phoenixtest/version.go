package phoenixtest

import (
	"strconv"
	"strings"
)

// codecFor returns the serializer for a vsn, nil if there is none. Versions
// match `~> 1.0.0` and `~> 2.0.0`: a strict SemVer of at least 2.0.0 and below
// 2.1.0.
func codecFor(vsn string) codec {
	switch {
	case matchesPatch(vsn, "2", "0"):
		return codecV2{}
	case matchesPatch(vsn, "1", "0"):
		return codecV1{}
	default:
		return nil
	}
}

// matchesPatch reports whether vsn is ~> major.minor.0.
func matchesPatch(vsn, major, minor string) bool {
	vsn, build, hasBuild := strings.Cut(vsn, "+")
	core, pre, hasPre := strings.Cut(vsn, "-")
	parts := strings.Split(core, ".")
	if len(parts) != 3 || hasBuild && build == "" || hasPre && pre == "" {
		return false
	}
	patch := parts[2]
	if _, err := strconv.ParseUint(patch, 10, 63); err != nil || len(patch) > 1 && patch[0] == '0' {
		return false
	}
	// A pre-release of the lower bound comes before it.
	return parts[0] == major && parts[1] == minor && (patch != "0" || !hasPre)
}
