package pinfs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFileLines = 500
	maxFuncLines = 50
)

// sources parses every Go file of the module that is no test, by folder.
func sources(t *testing.T) (*token.FileSet, map[string][]*ast.File) {
	t.Helper()
	fset, dirs := token.NewFileSet(), map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil {
			dirs[filepath.Dir(path)] = append(dirs[filepath.Dir(path)], f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fset, dirs
}

// TestFilesAndFunctionsAreShort keeps files and functions at a size that is read at once.
func TestFilesAndFunctionsAreShort(t *testing.T) {
	fset, dirs := sources(t)
	for _, files := range dirs {
		for _, f := range files {
			if n := fset.Position(f.FileEnd).Line; n > maxFileLines {
				t.Errorf("%s has %d lines; at most %d", fset.Position(f.Package).Filename, n, maxFileLines)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFuncLines {
					t.Errorf("%s: %s has %d lines; at most %d", fset.Position(fn.Pos()), fn.Name.Name, n, maxFuncLines)
				}
			}
		}
	}
}

// TestPackagesSayWhatTheyAre: a package comment in every folder, a comment on
// every exported name, no init functions, none of the names that say nothing.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	fset, dirs := sources(t)
	for dir, files := range dirs {
		documented := false
		for _, f := range files {
			documented = documented || f.Doc != nil
			for _, d := range f.Decls {
				checkDecl(t, fset, d)
			}
		}
		if !documented {
			t.Errorf("%s has no package comment", dir)
		}
		switch filepath.Base(dir) {
		case "util", "utils", "common", "helpers", "misc":
			t.Errorf("%s: name the folder by what lives there", dir)
		}
	}
}

func checkDecl(t *testing.T, fset *token.FileSet, d ast.Decl) {
	t.Helper()
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.Name == "init" && d.Recv == nil {
			t.Errorf("%s: an init function; build values where they are used", fset.Position(d.Pos()))
		}
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			t.Errorf("%s: exported %s has no comment", fset.Position(d.Pos()), d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			ts, ok := s.(*ast.TypeSpec)
			if ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
				t.Errorf("%s: exported %s has no comment", fset.Position(ts.Pos()), ts.Name.Name)
			}
		}
	}
}

// exportedReceiver is true for functions and for methods of exported types.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return true
		}
	}
}
