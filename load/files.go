package load

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// spareFiles is how many files a process needs besides its connections.
const spareFiles = 50

// CheckFiles returns an error if the process may not have as many files open as the
// users of the scenario have connections. Each user needs one (see Connections), and
// twice as many if the server runs in the same process. Run calls it.
func (s *Scenario) CheckFiles() error {
	limit, known := s.fileLimit()
	if !known {
		return nil
	}
	return checkFiles(s.MostUsers(), max(s.Connections, 1), s.InProcess, limit)
}

// fileLimit returns how many files the process may have open, if it needs any.
func (s *Scenario) fileLimit() (int64, bool) {
	if c := s.HTTPClient; c != nil {
		if tr, ok := c.Transport.(*http.Transport); ok && tr.DialContext != nil {
			return 0, false // a network of somebody's own, perhaps in memory
		}
	}
	return fileLimit()
}

// crowd is how many users of the arrivals model may be there at the same time, if
// nothing else is said.
func (s *Scenario) crowd() int {
	limit, known := s.fileLimit()
	if !known {
		return defaultCrowd
	}
	each := int64(max(s.Connections, 1))
	if s.InProcess {
		each *= 2
	}
	return int(max(min(defaultCrowd, (limit-spareFiles)/each), 1))
}

// checkFiles checks a limit. A user has some connections.
func checkFiles(users, connections int, inProcess bool, limit int64) error {
	each := int64(connections)
	of := "one for each user"
	if inProcess {
		each *= 2
		of = fmt.Sprintf("%d for each user, because the server runs in this process", each)
	} else if each > 1 {
		of = fmt.Sprintf("%d for each user", each)
	}
	need := int64(users)*each + spareFiles
	if need <= limit {
		return nil
	}
	return fmt.Errorf("load: %d users need %d open files (%s), and this process may have %d: run \"ulimit -n %d\" before, "+
		"or raise the limit in /etc/security/limits.conf (LimitNOFILE= for a service), or take fewer users",
		users, need, of, limit, need)
}

// where returns the endpoint without user and query, and whether it is on this
// machine.
func where(endpoint string) (shown string, sameHost bool) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", false // Check has refused it
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	ip := net.ParseIP(u.Hostname())
	return u.String(), u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
