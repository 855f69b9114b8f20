package integration

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/internal/conformance"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A server runs the application.
type server struct {
	name string
	url  *url.URL // without the path of the socket
	// authToken says that it takes tokens from outside of the URL: 1.8 does.
	authToken bool
}

// servers are those that scenarios run against, the newest last. To phoenixtest's
// long poll they are patient, so that a machine that stands still for a second or
// two loses no session. The brisk ones are as the application says.
var servers, briskServers []*server

func TestMain(m *testing.M) { os.Exit(run(m)) }

// parallel is how many scenarios run at a time, unless -parallel says otherwise:
// most of them wait.
const parallel = 4

func run(m *testing.M) int {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", strconv.Itoa(parallel)); err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
			return 1
		}
	}
	closeAll, err := open()
	defer closeAll()
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	return m.Run()
}

func open() (closeAll func(), err error) {
	if base := os.Getenv("PHOENIX_URL"); base != "" {
		return func() {}, openReal(base, os.Getenv("PHOENIX_VERSION"))
	}
	var fakes []*phoenixtest.Server
	closeAll = func() {
		for _, s := range fakes {
			_ = s.Close()
		}
	}
	for _, release := range []phoenixtest.Profile{phoenixtest.Phoenix1724, phoenixtest.Phoenix189, phoenixtest.Phoenix1812} {
		for _, list := range []*[]*server{&servers, &briskServers} {
			opts := conformance.Options(phoenixtest.Options{Network: phoenixtest.TCP, Profile: release, FrameLog: -1})
			if list == &servers {
				opts.LongPollWindow = 10 * time.Second // which is the default
			}
			fake, err := phoenixtest.Start(opts)
			if err != nil {
				return closeAll, err
			}
			fakes = append(fakes, fake)
			conformance.Mount(fake)
			base := strings.TrimSuffix(strings.Replace(fake.URL(), "ws", "http", 1), "/socket")
			s, err := ask("phoenixtest-"+string(release), base, string(release))
			if err != nil {
				return closeAll, err
			}
			*list = append(*list, s)
		}
	}
	return closeAll, nil
}

func openReal(base, version string) error {
	name := "phoenix"
	if version != "" {
		name += "-" + version
	}
	s, err := ask(name, base, version)
	if err != nil {
		return err
	}
	servers = []*server{s}
	briskServers = servers
	return nil
}

// ask asks a server what it is, and compares that with what it should be.
func ask(name, base, version string) (*server, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not like http://host:port", base)
	}
	s := &server{name: name, url: u}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if s.authToken, err = takesAuthTokens(ctx, u); err != nil {
		return nil, err
	}
	if want := !strings.HasPrefix(version, "1.7"); version != "" && s.authToken != want {
		return nil, fmt.Errorf("this is not Phoenix %s with the application: auth tokens are looked at: %t", version, s.authToken)
	}
	return s, nil
}
