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

// servers are those that scenarios run against, the newest last.
var servers []*server

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
		s, err := conformance.Start(phoenixtest.Options{Network: phoenixtest.TCP, Profile: release, FrameLog: -1})
		if err != nil {
			return closeAll, err
		}
		fakes = append(fakes, s)
		base := strings.TrimSuffix(strings.Replace(s.URL(), "ws", "http", 1), phoenixtest.DefaultPath)
		if err := add("phoenixtest-"+string(release), base, string(release)); err != nil {
			return closeAll, err
		}
	}
	return closeAll, nil
}

func openReal(base, version string) error {
	name := "phoenix"
	if version != "" {
		name += "-" + version
	}
	return add(name, base, version)
}

// add asks a server what it is, and compares that with what it should be.
func add(name, base, version string) error {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not like http://host:port", base)
	}
	s := &server{name: name, url: u}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if s.authToken, err = takesAuthTokens(ctx, u); err != nil {
		return err
	}
	if want := !strings.HasPrefix(version, "1.7"); version != "" && s.authToken != want {
		return fmt.Errorf("this is not Phoenix %s with the application: auth tokens are looked at: %t", version, s.authToken)
	}
	servers = append(servers, s)
	return nil
}
