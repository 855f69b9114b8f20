package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// secure reports whether the URL asks for TLS.
func (d *doctor) secure() bool { return d.URL.Scheme == "wss" || d.URL.Scheme == "https" }

// address is the host and port of the server.
func (d *doctor) address() string {
	port := d.URL.Port()
	if port == "" {
		port = "80"
		if d.secure() {
			port = "443"
		}
	}
	return net.JoinHostPort(d.URL.Hostname(), port)
}

func (d *doctor) checkURL(context.Context) bool {
	switch d.URL.Scheme {
	case "ws", "wss", "http", "https":
	default:
		d.fail("url", BadURL, "the URL does not begin with ws://, wss://, http:// or https://", "Use the URL of the endpoint, such as wss://example.com/socket.")
		return false
	}
	if d.URL.Hostname() == "" {
		d.fail("url", BadURL, "the URL has no host", "Use the URL of the endpoint, such as wss://example.com/socket.")
		return false
	}
	ip := net.ParseIP(d.URL.Hostname())
	if !d.secure() && d.URL.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		d.warn("url", PlainText, "the connection is not encrypted: tokens and params can be read on the way", "Use wss://.")
	}
	return true
}

// checkToken gets the auth token once, for all attempts.
func (d *doctor) checkToken(ctx context.Context) bool {
	if d.Options.AuthToken == nil {
		return true
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	token, err := d.Options.AuthToken(ctx)
	if err != nil {
		d.fail("token", TokenUnavailable, "there is no auth token: "+err.Error(), "Look at --auth-token-env or --auth-token-cmd.")
		return false
	}
	d.token = token
	if age, ok := readToken(token); ok {
		d.ok("token", age.String())
	}
	return true
}

// checkName looks the host up, and connects to its port, or to that of the proxy.
func (d *doctor) checkName(ctx context.Context) bool {
	address := d.address()
	start, spelling := "Start the server, and check the port. In a container, let the server listen on more than {127, 0, 0, 1}.", "Check the spelling of the host, the name server, and whether a VPN is needed."
	if proxy, err := d.proxy(); err == nil && proxy != nil {
		address = proxyAddress(proxy)
		start, spelling = "Start the proxy. "+lookAtProxy, "Check the spelling of the proxy. "+lookAtProxy
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // what follows tells
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	if net.ParseIP(host) == nil {
		addrs, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			d.fail("name", NameUnknown, fmt.Sprintf("the name server does not know %s: %v", host, short(err)), spelling)
			return false
		}
		d.ok("name", host+" is "+strings.Join(addrs, ", "))
	}
	begin := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		if strings.Contains(err.Error(), connectionRefused) {
			d.fail("tcp", PortClosed, "nothing listens on "+address, start)
		} else {
			d.fail("tcp", PortSilent, fmt.Sprintf("no connection to %s: %v", address, short(err)), "Look for a firewall on the way, and check the address.")
		}
		return false
	}
	_ = conn.Close() // it was only a test
	d.ok("tcp", fmt.Sprintf("connected to %s in %v", address, time.Since(begin).Round(10*time.Microsecond)))
	return true
}

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

// checkTLS looks at the certificates. A proxy stands in the way of that: then the
// WebSocket tells.
func (d *doctor) checkTLS(ctx context.Context) bool {
	if !d.secure() {
		return true
	}
	if proxy, err := d.proxy(); err != nil || proxy != nil {
		return true
	}
	config := d.TLS.Clone()
	config.ServerName = d.URL.Hostname()
	verify := !config.InsecureSkipVerify
	config.InsecureSkipVerify = true // the chain is verified below, to say all that is wrong
	ctx, cancel := d.within(ctx)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", d.address())
	if err != nil {
		var record tls.RecordHeaderError
		if errors.As(err, &record) {
			d.fail("tls", NotTLS, "the port does not speak TLS", "Use ws:// for this port, or the port of https.")
		} else {
			d.fail("tls", TLSFailed, fmt.Sprintf("the TLS handshake failed: %v", short(err)), "Look at the server's TLS versions, and whether it wants a client certificate.")
		}
		return false
	}
	defer conn.Close() //nolint:errcheck // it was only a test
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return true
	}
	state := secure.ConnectionState()
	leaf := state.PeerCertificates[0]
	if !verify {
		d.note("tls", "", fmt.Sprintf("%s; the certificate was not verified (--insecure)", tls.VersionName(state.Version)), "")
		return true
	}
	return d.checkCertificate(leaf, state, config.RootCAs)
}

func (d *doctor) checkCertificate(leaf *x509.Certificate, state tls.ConnectionState, roots *x509.CertPool) bool {
	const day = "2006-01-02"
	good := true
	now := time.Now()
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		good = false
		d.fail("tls", CertExpired, fmt.Sprintf("the certificate is valid from %s to %s", leaf.NotBefore.Format(day), leaf.NotAfter.Format(day)),
			"Renew the certificate, and reload the server. If it is valid, set the clock of this machine.")
	}
	if err := leaf.VerifyHostname(d.URL.Hostname()); err != nil {
		good = false
		d.fail("tls", CertOtherHost, fmt.Sprintf("the certificate is for %s", strings.Join(hostsOf(leaf), ", ")), "Use one of these names in the URL, or a certificate for "+d.URL.Hostname()+".")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	// At a time at which it is valid: its end is another finding.
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)})
	if err != nil {
		good = false
		d.fail("tls", CertUntrusted, fmt.Sprintf("the certificate of %q is not from an authority that this machine trusts", leaf.Issuer.CommonName),
			"Let the server send its intermediate certificates. For an authority of your own, use --ca FILE, and RootCAs in a program.")
	}
	if !good {
		return false
	}
	if left := leaf.NotAfter.Sub(now); left < soon {
		d.warn("tls", CertExpires, fmt.Sprintf("the certificate expires in %d days, on %s", int(left.Hours()/24), leaf.NotAfter.Format(day)), "Renew it.")
	}
	d.ok("tls", fmt.Sprintf("%s, certificate for %s until %s", tls.VersionName(state.Version), strings.Join(hostsOf(leaf), ", "), leaf.NotAfter.Format(day)))
	return true
}

func hostsOf(cert *x509.Certificate) []string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{"no host"}
	}
	return names[:min(len(names), 4)]
}

// short returns the end of an error's chain, which says what has happened.
func short(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}
