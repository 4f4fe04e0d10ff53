"""The kinds of penstock.dev/v1alpha1 as frozen models; no input or output happens here.

What is refused where:

- the API server refuses what the schema and the CEL rules say, which are generated into crds/ from the models;
- `validation` says what neither can say, and the reconcile puts it into the condition Stalled;
- a field that no model has is dropped by the API server before anybody else could see it (no rule, policy or webhook
  can refuse it). It is refused only when the client asks for fieldValidation=Strict: kubectl does by itself, a client
  that does not gets a warning instead. So a podTemplate.hostNetwork never has an effect, whoever writes it.

Unknown fields of stored objects are ignored, and what cannot be read of a status is left out (`reading`).
"""
