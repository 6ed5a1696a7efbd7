package vapeval

import (
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// render writes a value so that equal values of equal types have one text: 5, 5u, 5e+00, "text", bytes(00ff),
// [1, 2], {"key": 1} by key, duration(NANOSECONDS), timestamp(SECONDS, NANOSECONDS), type(int), optional(1). Of
// Kubernetes' own types it tells the type alone: a kubernetes.Quantity.
func render(value ref.Val) string {
	var out strings.Builder
	write(&out, value)
	return out.String()
}

func write(out *strings.Builder, value ref.Val) {
	switch v := value.(type) {
	case types.Null:
		out.WriteString("null")
	case types.Bool:
		out.WriteString(strconv.FormatBool(bool(v)))
	case types.Int:
		out.WriteString(strconv.FormatInt(int64(v), 10))
	case types.Uint:
		out.WriteString(strconv.FormatUint(uint64(v), 10) + "u")
	case types.Double:
		out.WriteString(strconv.FormatFloat(float64(v), 'e', -1, 64))
	case types.String:
		out.WriteString(`"` + string(v) + `"`)
	case types.Bytes:
		out.WriteString("bytes(" + hex.EncodeToString(v) + ")")
	case types.Duration:
		fmt.Fprintf(out, "duration(%d)", v.Duration.Nanoseconds())
	case types.Timestamp:
		fmt.Fprintf(out, "timestamp(%d, %d)", v.Unix(), v.Nanosecond())
	case *types.Type:
		out.WriteString("type(" + v.TypeName() + ")")
	case *types.Optional:
		if !v.HasValue() {
			out.WriteString("optional.none")
			return
		}
		out.WriteString("optional(")
		write(out, v.GetValue())
		out.WriteString(")")
	case traits.Lister:
		out.WriteString("[")
		for i := types.Int(0); i < v.Size().(types.Int); i++ {
			if i > 0 {
				out.WriteString(", ")
			}
			write(out, v.Get(i))
		}
		out.WriteString("]")
	case traits.Mapper:
		var entries []string
		for keys := v.Iterator(); keys.HasNext() == types.True; {
			key := keys.Next()
			entries = append(entries, render(key)+": "+render(v.Get(key)))
		}
		sort.Strings(entries)
		out.WriteString("{" + strings.Join(entries, ", ") + "}")
	default:
		fmt.Fprintf(out, "a %s", value.Type().TypeName())
	}
}
