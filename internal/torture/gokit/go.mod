module github.com/zkstream/zkstream/internal/torture/gokit

go 1.25.0

require (
	github.com/go-kit/kit v0.13.0
	github.com/go-kit/log v0.2.1
	github.com/go-zookeeper/zk v1.0.4
)

require github.com/go-logfmt/logfmt v0.5.1 // indirect
