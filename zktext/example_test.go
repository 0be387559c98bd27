package zktext_test

import (
	"errors"
	"fmt"

	"github.com/zkstream/zkstream/zktext"
)

func ExampleParse() {
	tree, err := zktext.Parse(`
/search : service
  threads = 8
  hosts = ['a', u'b']
  database -> /databases/main
  timeout => /defaults query_timeout
  /providers
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	search := tree.Children[0]
	fmt.Println(search.Name, len(search.Children))
	fmt.Println(search.Properties["type"])
	fmt.Println(search.Properties["threads"])
	fmt.Println(search.Properties["hosts"])
	fmt.Println(search.Properties["database ->"])
	fmt.Println(search.Properties["timeout =>"])
	// Output:
	// search 1
	// service
	// 8
	// [a b]
	// /databases/main
	// /defaults query_timeout
}

func ExampleSyntaxError() {
	_, err := zktext.Parse("/search\n  threads = eight\n")
	fmt.Println(err)

	var syntax *zktext.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Println(syntax.Line, syntax.Text)
	}
	// Output:
	// zktext: line 2: not a literal at "eight": "threads = eight"
	// 2   threads = eight
}

func ExampleFormat() {
	text, err := zktext.Format(&zktext.Node{
		Children: []*zktext.Node{{
			Name:       "search",
			Properties: map[string]any{"type": "service", "threads": 8, "database ->": "/databases/main"},
			Children:   []*zktext.Node{{Name: "providers"}},
		}},
	})
	fmt.Print(text, err)
	// Output:
	// /search : service
	//   threads = 8
	//   database -> /databases/main
	//   /providers
	// <nil>
}

func ExampleFormat_error() {
	_, err := zktext.Format(&zktext.Node{Name: "search", Properties: map[string]any{"max threads": 8}})
	fmt.Println(err)
	// Output:
	// zktext: "/search": property "max threads": the text cannot say this name
}

func ExampleNode_String() {
	node := &zktext.Node{Name: "search", Properties: map[string]any{"max threads": 8, "hosts": []string{"a", "b"}}}
	fmt.Print(node)
	// Output:
	// /search
	//   hosts = [u'a', u'b']
	//   # left out: zktext: "/search": property "max threads": the text cannot say this name
}

func ExampleNode_Content() {
	tree, _ := zktext.Parse(`
/search
  threads = 8
  database -> /databases/main
/motd
  string_value = 'Welcome'
`)
	for _, node := range tree.Children {
		content, _ := node.Content()
		fmt.Printf("%s: %s\n", node.Name, content)
	}
	// Output:
	// motd: Welcome
	// search: {"database ->":"/databases/main","threads":8}
}

func ExampleProperties() {
	fmt.Println(zktext.Properties([]byte(`{"database ->":"/databases/main","threads":8}`)))
	fmt.Println(zktext.Properties([]byte(`Welcome`)))
	// Output:
	// map[database ->:/databases/main threads:8]
	// map[string_value:Welcome]
}
