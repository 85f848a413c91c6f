package batch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// server is a Redis, or a cluster of them, and how it is reached.
type server struct {
	options redis.Options
	nodes   []string // of a cluster, as far as they were named; nil for one server
}

// where names the server for messages, without a password.
func (s server) where() string {
	if s.nodes != nil {
		return strings.Join(s.nodes, ",")
	}
	return s.options.Addr
}

// connect makes connections to the server. No command is sent yet.
func (s server) connect(change func(*redis.Options)) redis.UniversalClient {
	quietRedis()
	o := s.options
	// What older servers answer with an error, and nobody here needs.
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if change != nil {
		change(&o)
	}
	if s.nodes == nil {
		return redis.NewClient(&o)
	}
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: s.nodes, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		ClientName: o.ClientName, Protocol: o.Protocol,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout, MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
		MaxActiveConns: o.MaxActiveConns, ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		DisableIdentity: o.DisableIdentity, MaintNotificationsConfig: o.MaintNotificationsConfig,
	})
}

// quietRedis sends what the Redis client would print on stderr to the log.
// Errors come back from its calls as well.
var quietRedis = sync.OnceFunc(func() { redis.SetLogger(redisLog{}) })

type redisLog struct{}

func (redisLog) Printf(ctx context.Context, format string, args ...any) {
	slog.DebugContext(ctx, fmt.Sprintf(format, args...))
}

// CheckURL says what is wrong with the URL of a Redis, without reaching it.
func CheckURL(rawURL string) error {
	if rawURL == "" {
		return nil
	}
	_, err := parseURL(rawURL)
	return err
}

const wantURL = "want redis://[user:password@]host[:port][/database], rediss:// for TLS, unix:///path/to/socket, or redis://host:port,host:port for a cluster; what isn't A-Z a-z 0-9 in a password is written as %XX"

// parseURL reads the URL of a Redis. Its errors quote nothing of it: where it
// is wrong, any part of it may be a password's.
func parseURL(rawURL string) (server, error) {
	fail := func(why string) (server, error) { return server{}, fmt.Errorf("the Redis URL: %s; %s", why, wantURL) }
	one, hosts, cluster := firstHost(rawURL)
	u, err := url.Parse(one)
	if err != nil {
		return fail("it can't be read")
	}
	if u.User != nil && u.User.Username() != "" {
		if _, ok := u.User.Password(); !ok { // it would be sent as a user's name, and told as one
			return fail("what stands before @ is a password without a user: write :password@")
		}
	}
	files := u.Query()
	plain := u.Query()
	for _, name := range []string{"ca", "cert", "key"} {
		plain.Del(name)
	}
	u.RawQuery = plain.Encode()
	options, err := redis.ParseURL(u.String())
	switch {
	case err != nil && u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return fail("it has no scheme that is known")
	case err != nil && strings.HasPrefix(err.Error(), "redis: unexpected option"):
		return fail(strings.TrimPrefix(err.Error(), "redis: "))
	case err != nil:
		return fail("the database or an option is wrong")
	}
	s := server{options: *options}
	if cluster {
		if options.DB != 0 {
			return fail("a cluster has no database but 0")
		}
		for _, host := range hosts {
			if _, _, err := net.SplitHostPort(host); err != nil {
				return fail("a cluster's hosts have a port each")
			}
		}
		s.nodes = hosts
	}
	if s.options.TLSConfig == nil && (files.Has("ca") || files.Has("cert") || files.Has("key")) {
		return fail("ca, cert and key are for rediss://")
	}
	if s.options.TLSConfig != nil {
		if cluster { // each node is held against its own name
			s.options.TLSConfig.ServerName = ""
		}
		if err := readCertificates(s.options.TLSConfig, files); err != nil {
			return server{}, fmt.Errorf("the Redis URL: %w", err)
		}
	}
	return s, nil
}

// firstHost takes a cluster's URL apart, redis://a:1,b:2 or redis+cluster://a:1:
// the URL with its first host only, and all of them.
func firstHost(rawURL string) (one string, hosts []string, cluster bool) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok || scheme == "unix" {
		return rawURL, nil, false
	}
	scheme, cluster = strings.CutSuffix(scheme, "+cluster")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	hosts = strings.Split(rest[at:end], ",")
	return scheme + "://" + rest[:at] + hosts[0] + rest[end:], hosts, cluster || len(hosts) > 1
}

// readCertificates reads the files that a URL names: ca, the authorities that
// vouch for the server instead of the system's, and cert and key, which vouch
// for us.
func readCertificates(config *tls.Config, files url.Values) error {
	if ca := files.Get("ca"); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("ca: %s holds no certificate in PEM format", ca)
		}
	}
	cert, key := files.Get("cert"), files.Get("key")
	if cert == "" && key == "" {
		return nil
	}
	if cert == "" || key == "" {
		return errors.New("cert and key go together")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("cert and key: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return nil
}

// node is the server that has the queue's keys, of which a cluster has several.
func (q *Queue) node(ctx context.Context) (redis.Cmdable, error) {
	if cluster, ok := q.redis.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, q.key())
	}
	return q.redis, nil
}
