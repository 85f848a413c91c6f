package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/darkroom/darkroom/storage/porttest"
)

// StartCluster starts a cluster of servers, each with its share of the slots,
// and returns their addresses, host:port. It ends with the test. Where there
// is no redis-server it does as [StartServer].
func StartCluster(t testing.TB, nodes int) (addrs []string) {
	t.Helper()
	program := find(t)
	dir, err := os.MkdirTemp("", "redis-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var clients []*redis.Client
	for i := range nodes {
		client := startNode(t, program, filepath.Join(dir, strconv.Itoa(i)))
		clients = append(clients, client)
		addrs = append(addrs, client.Options().Addr)
	}
	const slots = 16384
	ctx := context.Background()
	for i, client := range clients {
		err := client.ClusterAddSlotsRange(ctx, slots*i/nodes, slots*(i+1)/nodes-1).Err()
		if err == nil {
			err = client.Do(ctx, "cluster", "set-config-epoch", i+1).Err()
		}
		if err == nil && i > 0 {
			host, port, _ := net.SplitHostPort(addrs[0])
			err = client.Do(ctx, "cluster", "meet", host, port, busPort(t, clients[0])).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, client := range clients {
		wait(t, "the cluster", func() bool {
			info, err := client.ClusterInfo(ctx).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", nodes))
		})
	}
	return addrs
}

// startNode starts a server of a cluster.
func startNode(t testing.TB, program, dir string) *redis.Client {
	t.Helper()
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	port, bus := porttest.Take(t), porttest.Take(t)
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--cluster-port", bus, "--dir", dir, "--save", "",
		"--maxmemory-policy", "noeviction", "--cluster-enabled", "yes", "--cluster-node-timeout", "15000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port, MaxRetries: -1})
	t.Cleanup(func() {
		client.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	wait(t, "redis-server", func() bool {
		id, err := client.Do(context.Background(), "cluster", "myid").Result()
		return err == nil && id != ""
	})
	return client
}

func busPort(t testing.TB, client *redis.Client) string {
	t.Helper()
	port, err := client.ConfigGet(context.Background(), "cluster-port").Result()
	if err != nil {
		t.Fatal(err)
	}
	return port["cluster-port"]
}

func wait(t testing.TB, what string, holds func() bool) {
	t.Helper()
	late := time.After(3 * time.Minute)
	for tick := time.Tick(5 * time.Millisecond); !holds(); {
		select {
		case <-tick:
		case <-late:
			t.Fatalf("%s: not ready within 3 minutes", what)
		}
	}
}
