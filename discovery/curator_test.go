package discovery_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zkstream/zkstream"
	. "github.com/zkstream/zkstream/discovery"
	"github.com/zkstream/zkstream/internal/foreign"
)

// curatorProgram registers an instance without a payload and one with a map, waits for a line, says which instances
// there are, and waits for its input's end. The instances are read once more as Curator before 4.0 reads them, which
// knows no other fields than its own.
const curatorProgram = `
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.util.*;
import org.apache.curator.framework.*;
import org.apache.curator.retry.RetryOneTime;
import org.apache.curator.x.discovery.*;

@SuppressWarnings({"rawtypes", "unchecked"})
public class Discovery {
	static CuratorFramework client;

	static <T> ServiceDiscovery<T> start(Class<T> payload) throws Exception {
		ServiceDiscovery<T> d = ServiceDiscoveryBuilder.builder(payload).client(client).basePath("/services").build();
		d.start();
		return d;
	}

	static void print(ServiceDiscovery<?> d, String service) throws Exception {
		List<String> lines = new ArrayList<>();
		for (ServiceInstance<?> i : d.queryForInstances(service)) {
			Object payload = i.getPayload();
			lines.add(i.getName() + " " + i.getId() + " " + i.getAddress() + " " + i.getPort() + " " + i.getSslPort() + " " + i.isEnabled()
				+ " " + i.getServiceType() + " " + (payload instanceof Map ? new TreeMap((Map) payload) : payload));
			Class<?> old = Class.forName("org.apache.curator.x.discovery.details.OldServiceInstance");
			new ObjectMapper().readValue(client.getData().forPath("/services/" + service + "/" + i.getId()), old);
		}
		Collections.sort(lines);
		for (String line : lines) System.out.println(line);
	}

	public static void main(String[] args) throws Exception {
		client = CuratorFrameworkFactory.newClient(args[0], new RetryOneTime(100));
		client.start();
		ServiceDiscovery<Void> plain = start(Void.class);
		ServiceDiscovery<Map> maps = start(Map.class);
		plain.registerService(ServiceInstance.<Void>builder().name("plain").id("java").address("10.0.0.1").port(80).build());
		Map<String, String> payload = new HashMap<>();
		payload.put("zone", "<a>");
		payload.put("weight", "3");
		maps.registerService(ServiceInstance.<Map>builder().name("maps").id("java").address("10.0.0.2").sslPort(443)
			.uriSpec(new UriSpec("{scheme}://{address}")).payload(payload).enabled(false).build());
		System.out.println("registered");
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		in.readLine();
		print(plain, "plain");
		print(maps, "maps");
		System.out.println("done");
		in.readLine();
		plain.close();
		maps.close();
		client.close();
	}
}
`

// curator is the program while it runs.
type curator struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

// until returns the lines before that one.
func (c *curator) until(t *testing.T, last string) []string {
	t.Helper()
	var lines []string
	for c.out.Scan() {
		if c.out.Text() == last {
			return lines
		}
		lines = append(lines, c.out.Text())
	}
	t.Fatalf("it has ended before %q: %q", last, lines)
	return nil
}

func startCurator(t *testing.T, addr string) *curator {
	t.Helper()
	installed, err := foreign.FindCurator()
	if err != nil {
		t.Skip(err)
	}
	cmd, err := installed.Compile(t.TempDir(), "Discovery", curatorProgram, "-Xmx128m")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Curator %s", installed.Version)
	cmd.Args = append(cmd.Args, addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		killer.Stop()
		in.Close() // upon which it ends
		io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program: %v", err)
		}
	})
	return &curator{in, bufio.NewScanner(out)}
}

func TestCuratorAndItsFormatFindEachOther(t *testing.T) {
	addr := zooKeeper.Server(t).Addr()
	java := startCurator(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := zkstream.Connect(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	java.until(t, "registered")

	plain, maps := Watch(ctx, c, "/services/plain", Curator{}), Watch(ctx, c, "/services/maps", Curator{})
	got, err := next(t, plain).Get("java")
	if err != nil || got.Addr != "10.0.0.1:80" || got.Status != Up || got.Weight != 1 {
		t.Errorf("without a payload: %+v, %v", got, err)
	}
	if i := got.Raw.(CuratorInstance); i.Name != "plain" || i.ID != "java" || i.ServiceType != "DYNAMIC" || i.RegistrationTime == 0 {
		t.Errorf("%+v", i)
	}
	got, err = next(t, maps).Get("java")
	if err != nil || got.Addr != "10.0.0.2:443" || got.Weight != 3 || fmt.Sprint(got.Attributes) != "map[zone:<a>]" {
		t.Errorf("with a map: %+v, %v", got, err)
	}
	if i := got.Raw.(CuratorInstance); fmt.Sprint(i.URISpec) != "[{scheme true} {:// false} {address true}]" {
		t.Errorf("%+v", i)
	}

	for _, r := range []struct {
		path   string
		format Curator
		e      Endpoint
	}{
		{"/services/plain", Curator{}, Endpoint{Name: "go", Addr: "10.0.0.3:80"}},
		{"/services/maps", Curator{Payload: MapPayload}, Endpoint{Name: "go", Addr: "[::1]:80", Weight: 2, Attributes: attributes{"zone": "<b>"}}},
		{"/services/maps", Curator{Payload: MapPayload}, Endpoint{Name: "tls", Addr: "a:443", Raw: CuratorInstance{Address: "a", SSLPort: 443, URISpec: []URIPart{{"x", false}}}}},
	} {
		if _, err := Register(ctx, c, r.path, r.format, r.e); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintln(java.in)
	want := []string{
		"plain go 10.0.0.3 80 null true DYNAMIC null",
		"plain java 10.0.0.1 80 null true DYNAMIC null",
		"maps go ::1 80 null true DYNAMIC {weight=2, zone=<b>}",
		"maps java 10.0.0.2 null 443 true DYNAMIC {weight=3, zone=<a>}", // what is not enabled is not written by default
		"maps tls a null 443 true DYNAMIC {}",
	}
	if lines := java.until(t, "done"); !slices.Equal(lines, want) {
		t.Errorf("Curator sees\n%s\nnot\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
