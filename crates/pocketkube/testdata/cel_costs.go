// Fills in cel_costs.jsonl: what the API server estimates that a rule costs, and what it costs on an
// object. A case is a line with "rule", "schema" and, where wanted, "object".
//
// It uses the tests' helpers of Kubernetes' source, v1.35 (Apache-2.0). Copy it as oracle_test.go to
// staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel there, and run
//
//	CEL_COSTS=…/testdata/cel_costs.jsonl go test -run TestOracle .
package cel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

type oracleCase struct {
	Rule     string          `json:"rule"`
	Schema   json.RawMessage `json:"schema"`
	Object   json.RawMessage `json:"object,omitempty"`
	Estimate uint64          `json:"estimate"`
	Actual   *int64          `json:"actual,omitempty"`
}

func TestOracle(t *testing.T) {
	path := os.Getenv("CEL_COSTS")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var c oracleCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		judge(t, &c)
		encoder.Encode(c)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func judge(t *testing.T, c *oracleCase) {
	var v1 apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal(c.Schema, &v1); err != nil {
		t.Fatal(err)
	}
	v1.XValidations = apiextensionsv1.ValidationRules{{Rule: c.Rule}}
	var in apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&v1, &in, nil); err != nil {
		t.Fatal(err)
	}
	s, err := schema.NewStructural(&in)
	if err != nil {
		t.Fatal(err)
	}
	env := environment.MustBaseEnvSet(version.MajorMinor(1, 35))
	results, err := Compile(s, model.SchemaDeclType(s, false), math.MaxInt64, env, NewExpressionsEnvLoader())
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Error != nil {
		t.Fatal(c.Rule, results[0].Error.Detail)
	}
	c.Estimate = results[0].MaxCost
	// Rules of changes are not asked about new objects.
	if c.Object == nil || strings.Contains(c.Rule, "oldSelf") {
		return
	}
	var object interface{}
	if err := json.Unmarshal(c.Object, &object); err != nil {
		t.Fatal(err)
	}
	validator := NewValidator(s, false, celconfig.RuntimeCELCostBudget)
	_, left := validator.Validate(context.TODO(), nil, s, whole(object), nil, celconfig.RuntimeCELCostBudget)
	used := int64(celconfig.RuntimeCELCostBudget) - left
	c.Actual = &used
}

// Numbers as the API server decodes them.
func whole(v interface{}) interface{} {
	switch x := v.(type) {
	case float64:
		if x == math.Trunc(x) {
			return int64(x)
		}
	case []interface{}:
		for i := range x {
			x[i] = whole(x[i])
		}
	case map[string]interface{}:
		for k := range x {
			x[k] = whole(x[k])
		}
	}
	return v
}
