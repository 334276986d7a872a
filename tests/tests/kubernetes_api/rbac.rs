//! Who may do what: roles, bindings, what a refusal says, and that nobody grants what they do not
//! hold.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::{Answer, Look};
use crate::manifests::{config_map, config_map_with, deployment};
use crate::world::{Request, World};

cases! { Workloads:
    a_stranger_may_not_list,
    a_stranger_may_not_discover,
    a_refusal_names_the_verb_and_the_place,
    a_refusal_at_cluster_scope_says_so,
    a_refusal_names_the_subresource,
    a_refusal_of_a_selected_name_names_it,
    a_refusal_of_a_path_names_the_path,
    a_namespace_is_refused_in_itself,
    everybody_known_may_discover,
    a_role_allows_its_verbs_in_its_namespace,
    a_role_does_not_reach_other_namespaces,
    a_cluster_role_bound_in_a_namespace_is_for_that_namespace,
    a_cluster_role_binding_reaches_every_namespace,
    a_rule_with_names_is_for_those_names,
    a_rule_with_names_lets_one_be_selected,
    a_rule_for_a_resource_is_not_for_its_subresources,
    a_rule_can_be_for_one_subresource_of_everything,
    a_group_can_be_bound,
    all_accounts_of_a_namespace_can_be_bound,
    an_account_without_a_namespace_is_of_the_bindings_own,
    a_reason_names_the_binding_the_role_and_the_account,
    a_binding_to_a_role_that_is_missing_says_so,
    a_permission_ends_with_its_binding,
    a_viewer_reads_all_but_secrets,
    an_editor_writes_and_does_not_grant,
    an_administrator_of_a_namespace_grants_what_they_hold,
    an_apply_that_creates_needs_create,
    an_update_that_creates_needs_create,
    nobody_writes_a_role_beyond_their_own,
    who_may_escalate_writes_any_role,
    who_holds_a_permission_may_grant_it,
    nobody_binds_a_role_beyond_their_own,
    who_may_bind_binds_any_role,
    a_binding_to_a_missing_role_is_not_found_for_who_may_not_bind,
    a_rule_that_gathers_needs_an_administrator,
    the_role_of_a_binding_cannot_change,
    a_role_needs_verbs_groups_and_resources,
    a_role_of_a_namespace_has_no_paths,
    a_cluster_role_gathers_the_rules_of_others,
    a_gathered_rule_goes_with_its_label,
    the_viewers_rules_can_be_added_to,
    gathered_rules_are_owned_by_the_controller,
}

const RBAC: &str = "rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const CLUSTER_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const ROLES: &str = "rbac.authorization.k8s.io/v1:roles";
const BINDINGS: &str = "rbac.authorization.k8s.io/v1:rolebindings";

/// The server follows roles with a delay, and nothing tells when it has.
const ASK_AGAIN: Duration = Duration::from_millis(20);
const ASKS_MAX: u32 = 500;

pub(crate) fn rule(groups: Value, resources: Value, verbs: Value) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

pub(crate) fn role(name: &str, rules: &[Value]) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": name}, "rules": rules,
    })
}

pub(crate) fn cluster_role(name: &str, rules: &[Value]) -> Value {
    let mut role = role(name, rules);
    role["kind"] = json!("ClusterRole");
    role
}

/// Binds `Role/name` or `ClusterRole/name` to a subject.
pub(crate) fn binding(name: &str, (kind, role): (&str, &str), subject: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [subject],
    })
}

fn cluster_binding(name: &str, role: &str, subject: Value) -> Value {
    let mut binding = binding(name, ("ClusterRole", role), subject);
    binding["kind"] = json!("ClusterRoleBinding");
    binding
}

pub(crate) fn user(name: &str) -> Value {
    json!({"apiGroup": RBAC, "kind": "User", "name": name})
}

/// Lets a user of this case's namespace do what `rules` say.
pub(crate) async fn allow(world: &World, name: &str, rules: &[Value]) {
    let own = role(name, rules);
    world.post(ROLES, &own).await.is(201);
    let bound = binding(name, ("Role", name), user(name));
    world.post(BINDINGS, &bound).await.is(201);
}

/// The answer, as soon as it is not 403 any more.
pub(crate) async fn once_allowed(request: Request) -> Answer {
    for _ in 0..ASKS_MAX {
        let answer = request.clone().await;
        if answer.status != 403 {
            return answer;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    request.await
}

/// The answer, as soon as it is 403.
async fn once_refused(request: Request) -> Answer {
    for _ in 0..ASKS_MAX {
        let answer = request.clone().await;
        if answer.status == 403 {
            return answer;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    request.await
}

async fn a_stranger_may_not_list(world: World) {
    let answer = world.get("configmaps").anonymously(&world).await;
    let message = format!(
        "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in \
         API group \"\" in the namespace {:?}",
        world.namespace
    );
    let status = answer.refused(403, "Forbidden", &message);
    assert_eq!(status["details"], json!({"kind": "configmaps"}));
}

async fn a_stranger_may_not_discover(world: World) {
    let answer = world.get("/apis").anonymously(&world).await;
    let status = answer.refused(
        403,
        "Forbidden",
        "forbidden: User \"system:anonymous\" cannot get path \"/apis\"",
    );
    assert_eq!(status["details"], json!({}));
}

async fn a_refusal_names_the_verb_and_the_place(world: World) {
    let place = format!("in the namespace {:?}", world.namespace);
    let path = "apps/v1:deployments";
    let named = "apps/v1:deployments/a";
    let one = "deployments.apps \"a\" is forbidden";
    let all = "deployments.apps is forbidden";
    let asked = [
        (world.get(named), one, "get"),
        (world.get(path), all, "list"),
        (world.get(path).query("watch", "true"), all, "watch"),
        (world.post(path, &deployment("a", 1)), all, "create"),
        (world.put(named, &deployment("a", 1)), one, "update"),
        (world.merge_patch(named, &json!({})), one, "patch"),
        (world.delete(named), one, "delete"),
        (world.delete(path), all, "deletecollection"),
    ];
    for (request, start, verb) in asked {
        let message = format!(
            "{start}: User \"ann\" cannot {verb} resource \"deployments\" in API group \"apps\" \
             {place}"
        );
        let status = request
            .acting_as("ann")
            .await
            .refused(403, "Forbidden", &message);
        status.has(json!({"details": {"group": "apps", "kind": "deployments"}}));
    }
}

async fn a_refusal_at_cluster_scope_says_so(world: World) {
    let answer = world.get("/api/v1/pods").acting_as("ann").await;
    answer.refused(
        403,
        "Forbidden",
        "pods is forbidden: User \"ann\" cannot list resource \"pods\" in API group \"\" at the \
         cluster scope",
    );
    let answer = world.get("/api/v1/nodes/a").acting_as("ann").await;
    answer.refused(
        403,
        "Forbidden",
        "nodes \"a\" is forbidden: User \"ann\" cannot get resource \"nodes\" in API group \"\" at \
         the cluster scope",
    );
}

async fn a_refusal_names_the_subresource(world: World) {
    let message = format!(
        "pods \"a\" is forbidden: User \"ann\" cannot get resource \"pods/log\" in API group \"\" \
         in the namespace {:?}",
        world.namespace
    );
    let answer = world.get("pods/a/log").acting_as("ann").await;
    let status = answer.refused(403, "Forbidden", &message);
    assert_eq!(status["details"], json!({"name": "a", "kind": "pods"}));
}

async fn a_refusal_of_a_selected_name_names_it(world: World) {
    let message = format!(
        "configmaps \"a\" is forbidden: User \"ann\" cannot list resource \"configmaps\" in API \
         group \"\" in the namespace {:?}",
        world.namespace
    );
    let request = world
        .get("configmaps")
        .query("fieldSelector", "metadata.name=a");
    let answer = request.acting_as("ann").await;
    answer.refused(403, "Forbidden", &message);
}

async fn a_refusal_of_a_path_names_the_path(world: World) {
    let answer = world.get("/metrics").acting_as("ann").await;
    answer.refused(
        403,
        "Forbidden",
        "forbidden: User \"ann\" cannot get path \"/metrics\"",
    );
    // What is not there is refused as well.
    let answer = world.get("/nowhere").acting_as("ann").await;
    answer.refused(
        403,
        "Forbidden",
        "forbidden: User \"ann\" cannot get path \"/nowhere\"",
    );
}

async fn a_namespace_is_refused_in_itself(world: World) {
    let name = &world.namespace;
    let path = format!("/api/v1/namespaces/{name}");
    let message = format!(
        "namespaces {name:?} is forbidden: User \"ann\" cannot get resource \"namespaces\" in API \
         group \"\" in the namespace {name:?}"
    );
    let answer = world.get(&path).acting_as("ann").await;
    answer.refused(403, "Forbidden", &message);
}

async fn everybody_known_may_discover(world: World) {
    for path in ["/api", "/apis", "/apis/apps/v1", "/openapi/v3", "/version"] {
        let answer = world.get(path).acting_as("ann").await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

async fn a_role_allows_its_verbs_in_its_namespace(world: World) {
    let rules = [rule(
        json!([""]),
        json!(["configmaps"]),
        json!(["get", "create"]),
    )];
    allow(&world, "ann", &rules).await;
    let request = world.post("configmaps", &config_map("a")).acting_as("ann");
    once_allowed(request).await.is(201);
    world.get("configmaps/a").acting_as("ann").await.is(200);
    let answer = world.delete("configmaps/a").acting_as("ann").await;
    answer.refusal_of(403, "Forbidden");
    let answer = world.get("secrets").acting_as("ann").await;
    answer.refusal_of(403, "Forbidden");
}

async fn a_role_does_not_reach_other_namespaces(world: World) {
    allow(
        &world,
        "ann",
        &[rule(json!(["*"]), json!(["*"]), json!(["*"]))],
    )
    .await;
    once_allowed(world.get("configmaps").acting_as("ann"))
        .await
        .is(200);
    for path in [
        "/api/v1/namespaces/default/configmaps",
        "/api/v1/configmaps",
    ] {
        let answer = world.get(path).acting_as("ann").await;
        answer.refusal_of(403, "Forbidden");
    }
    // A namespace is in itself, so who has all of it may look at it.
    let own = format!("/api/v1/namespaces/{}", world.namespace);
    world.get(&own).acting_as("ann").await.is(200);
}

async fn a_cluster_role_bound_in_a_namespace_is_for_that_namespace(world: World) {
    let name = &world.namespace;
    let rules = [rule(json!([""]), json!(["configmaps"]), json!(["list"]))];
    world
        .post(CLUSTER_ROLES, &cluster_role(name, &rules))
        .await
        .is(201);
    let bound = binding("ann", ("ClusterRole", name), user("ann"));
    world.post(BINDINGS, &bound).await.is(201);
    once_allowed(world.get("configmaps").acting_as("ann"))
        .await
        .is(200);
    let answer = world.get("/api/v1/configmaps").acting_as("ann").await;
    answer.refusal_of(403, "Forbidden");
}

async fn a_cluster_role_binding_reaches_every_namespace(world: World) {
    let name = &world.namespace;
    let rules = [rule(json!([""]), json!(["configmaps"]), json!(["list"]))];
    world
        .post(CLUSTER_ROLES, &cluster_role(name, &rules))
        .await
        .is(201);
    let bound = cluster_binding(name, name, user(name));
    world.post(CLUSTER_BINDINGS, &bound).await.is(201);
    once_allowed(world.get("/api/v1/configmaps").acting_as(name))
        .await
        .is(200);
    world.get("configmaps").acting_as(name).await.is(200);
}

async fn a_rule_with_names_is_for_those_names(world: World) {
    let mut named = rule(json!([""]), json!(["configmaps"]), json!(["get", "create"]));
    named["resourceNames"] = json!(["a"]);
    allow(&world, "ann", &[named]).await;
    world.post("configmaps", &config_map("a")).await.is(201);
    once_allowed(world.get("configmaps/a").acting_as("ann"))
        .await
        .is(200);
    let answer = world.get("configmaps/b").acting_as("ann").await;
    answer.refusal_of(403, "Forbidden");
    // A creation names nothing in its path.
    let answer = world
        .post("configmaps", &config_map("a"))
        .acting_as("ann")
        .await;
    answer.refusal_of(403, "Forbidden");
}

async fn a_rule_with_names_lets_one_be_selected(world: World) {
    let mut named = rule(json!([""]), json!(["configmaps"]), json!(["list", "watch"]));
    named["resourceNames"] = json!(["a"]);
    allow(&world, "ann", &[named]).await;
    let one = world
        .get("configmaps")
        .query("fieldSelector", "metadata.name=a");
    once_allowed(one.acting_as("ann")).await.is(200);
    let answer = world.get("configmaps").acting_as("ann").await;
    answer.refusal_of(403, "Forbidden");
}

async fn a_rule_for_a_resource_is_not_for_its_subresources(world: World) {
    let rules = [rule(json!(["apps"]), json!(["deployments"]), json!(["*"]))];
    allow(&world, "ann", &rules).await;
    let create = world.post("apps/v1:deployments", &deployment("a", 0));
    once_allowed(create.acting_as("ann")).await.is(201);
    let scale = world.get("apps/v1:deployments/a/scale").acting_as("ann");
    scale.await.refusal_of(403, "Forbidden");
}

async fn a_rule_can_be_for_one_subresource_of_everything(world: World) {
    let rules = [rule(json!(["*"]), json!(["*/scale"]), json!(["get"]))];
    allow(&world, "ann", &rules).await;
    let create = world.post("apps/v1:deployments", &deployment("a", 0));
    create.await.is(201);
    let scale = world.get("apps/v1:deployments/a/scale").acting_as("ann");
    once_allowed(scale).await.is(200);
    let answer = world.get("apps/v1:deployments/a").acting_as("ann").await;
    answer.refusal_of(403, "Forbidden");
}

async fn a_group_can_be_bound(world: World) {
    let group = json!({"apiGroup": RBAC, "kind": "Group", "name": "readers"});
    let bound = binding("readers", ("ClusterRole", "view"), group);
    world.post(BINDINGS, &bound).await.is(201);
    let request = world.get("configmaps").acting_as("ann").in_group("readers");
    once_allowed(request).await.is(200);
    let answer = world.get("configmaps").acting_as("ann").in_group("others");
    answer.await.refusal_of(403, "Forbidden");
}

async fn all_accounts_of_a_namespace_can_be_bound(world: World) {
    let name = format!("system:serviceaccounts:{}", world.namespace);
    let group = json!({"apiGroup": RBAC, "kind": "Group", "name": name});
    let bound = binding("accounts", ("ClusterRole", "view"), group);
    world.post(BINDINGS, &bound).await.is(201);
    let account = |namespace: &str| format!("system:serviceaccount:{namespace}:robot");
    let own = world
        .get("configmaps")
        .acting_as(&account(&world.namespace));
    once_allowed(own).await.is(200);
    let other = world.get("configmaps").acting_as(&account("other"));
    other.await.refusal_of(403, "Forbidden");
}

async fn an_account_without_a_namespace_is_of_the_bindings_own(world: World) {
    let account = json!({"kind": "ServiceAccount", "name": "robot"});
    let mut bound = binding("robot", ("ClusterRole", "view"), account);
    world.post(BINDINGS, &bound).await.is(201);
    let robot = format!("system:serviceaccount:{}:robot", world.namespace);
    let own = world.get("configmaps").acting_as(&robot);
    once_allowed(own).await.is(200);
    bound["kind"] = json!("ClusterRoleBinding");
    let answer = world.post(CLUSTER_BINDINGS, &bound).await;
    answer.refused_saying(422, "Invalid", "subjects[0].namespace: Required value");
}

async fn a_reason_names_the_binding_the_role_and_the_account(world: World) {
    let namespace = world.namespace.clone();
    let account = json!({"kind": "ServiceAccount", "name": "robot", "namespace": namespace});
    let bound = binding("robot", ("ClusterRole", "view"), account);
    world.post(BINDINGS, &bound).await.is(201);
    let robot = format!("system:serviceaccount:{namespace}:robot");
    once_allowed(world.get("configmaps").acting_as(&robot))
        .await
        .is(200);
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": robot, "resourceAttributes": {
            "namespace": namespace, "verb": "list", "resource": "configmaps",
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = world.post(path, &review).await.is(201);
    answer.has(json!({"status": {"allowed": true, "reason": format!(
        "RBAC: allowed by RoleBinding \"robot/{namespace}\" of ClusterRole \"view\" to \
         ServiceAccount \"robot/{namespace}\""
    )}}));
}

async fn a_binding_to_a_role_that_is_missing_says_so(world: World) {
    let bound = binding("ann", ("Role", "nothing"), user("ann"));
    world.post(BINDINGS, &bound).await.is(201);
    let message = format!(
        "configmaps is forbidden: User \"ann\" cannot list resource \"configmaps\" in API group \
         \"\" in the namespace {:?}: RBAC: role.rbac.authorization.k8s.io \"nothing\" not found",
        world.namespace
    );
    for _ in 0..ASKS_MAX {
        let answer = world.get("configmaps").acting_as("ann").await;
        if answer.body.text("/message") == message {
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    let answer = world.get("configmaps").acting_as("ann").await;
    answer.refused(403, "Forbidden", &message);
}

async fn a_permission_ends_with_its_binding(world: World) {
    let rules = [rule(json!([""]), json!(["configmaps"]), json!(["list"]))];
    allow(&world, "ann", &rules).await;
    let list = world.get("configmaps").acting_as("ann");
    once_allowed(list.clone()).await.is(200);
    world.delete(&format!("{BINDINGS}/ann")).await.is(200);
    once_refused(list).await.refusal_of(403, "Forbidden");
}

async fn a_viewer_reads_all_but_secrets(world: World) {
    let bound = binding("ann", ("ClusterRole", "view"), user("ann"));
    world.post(BINDINGS, &bound).await.is(201);
    once_allowed(world.get("configmaps").acting_as("ann"))
        .await
        .is(200);
    for path in ["pods", "services", "apps/v1:deployments", "batch/v1:jobs"] {
        world.get(path).acting_as("ann").await.is(200);
    }
    for path in ["secrets", ROLES] {
        let answer = world.get(path).acting_as("ann").await;
        answer.refusal_of(403, "Forbidden");
    }
}

async fn an_editor_writes_and_does_not_grant(world: World) {
    let bound = binding("ann", ("ClusterRole", "edit"), user("ann"));
    world.post(BINDINGS, &bound).await.is(201);
    let create = world.post("configmaps", &config_map("a")).acting_as("ann");
    once_allowed(create).await.is(201);
    let create = world.post("apps/v1:deployments", &deployment("a", 0));
    create.acting_as("ann").await.is(201);
    world.get("secrets").acting_as("ann").await.is(200);
    let create = world.post(ROLES, &role("a", &[])).acting_as("ann");
    create.await.refusal_of(403, "Forbidden");
}

async fn an_administrator_of_a_namespace_grants_what_they_hold(world: World) {
    let bound = binding("ann", ("ClusterRole", "admin"), user("ann"));
    world.post(BINDINGS, &bound).await.is(201);
    let bound = binding("bob", ("ClusterRole", "view"), user("bob"));
    let create = world.post(BINDINGS, &bound).acting_as("ann");
    once_allowed(create).await.is(201);
    once_allowed(world.get("configmaps").acting_as("bob"))
        .await
        .is(200);
    let bound = binding("eve", ("ClusterRole", "cluster-admin"), user("eve"));
    let answer = world.post(BINDINGS, &bound).acting_as("ann").await;
    answer.refused_saying(
        403,
        "Forbidden",
        "is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n\
         {NonResourceURLs:[\"*\"], Verbs:[\"*\"]}",
    );
}

async fn an_apply_that_creates_needs_create(world: World) {
    let rules = [rule(
        json!([""]),
        json!(["configmaps"]),
        json!(["get", "patch"]),
    )];
    allow(&world, "ann", &rules).await;
    once_allowed(world.get("configmaps/a").acting_as("ann"))
        .await
        .refusal_of(404, "NotFound");
    let body = config_map_with("a", json!({"k": "v"}));
    let apply = world.apply("configmaps/a", "ann", &body).acting_as("ann");
    let message = format!(
        "configmaps \"a\" is forbidden: User \"ann\" cannot create resource \"configmaps\" in API \
         group \"\" in the namespace {:?}",
        world.namespace
    );
    apply.clone().await.refused(403, "Forbidden", &message);
    world.post("configmaps", &config_map("a")).await.is(201);
    apply.await.is(200);
}

async fn an_update_that_creates_needs_create(world: World) {
    let leases = "coordination.k8s.io/v1:leases";
    let groups = json!(["coordination.k8s.io"]);
    let rules = [rule(groups, json!(["leases"]), json!(["list", "update"]))];
    allow(&world, "ann", &rules).await;
    once_allowed(world.get(leases).acting_as("ann"))
        .await
        .is(200);
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"},
    });
    let put = world.put(&format!("{leases}/a"), &body);
    let message = format!(
        "leases.coordination.k8s.io \"a\" is forbidden: User \"ann\" cannot create resource \
         \"leases\" in API group \"coordination.k8s.io\" in the namespace {:?}",
        world.namespace
    );
    let answer = put.clone().acting_as("ann").await;
    answer.refused(403, "Forbidden", &message);
    put.await.is(201);
}

/// A user who writes roles and bindings and holds little else.
async fn clerk(world: &World, more: &[Value]) {
    let groups = json!([RBAC]);
    let mut rules = vec![
        rule(
            groups,
            json!(["roles", "rolebindings"]),
            json!(["get", "create", "update", "patch"]),
        ),
        rule(json!([""]), json!(["configmaps"]), json!(["get"])),
    ];
    rules.extend_from_slice(more);
    allow(world, "ann", &rules).await;
    let known = world.get(&format!("{ROLES}/ann")).acting_as("ann");
    once_allowed(known).await.is(200);
}

async fn nobody_writes_a_role_beyond_their_own(world: World) {
    clerk(&world, &[]).await;
    let rules = [
        rule(
            json!([""]),
            json!(["configmaps", "pods"]),
            json!(["get", "list"]),
        ),
        rule(json!(["apps"]), json!(["deployments"]), json!(["get"])),
    ];
    let create = world.post(ROLES, &role("more", &rules)).acting_as("ann");
    let message = "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"ann\" \
                   (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not \
                   currently held:\n\
                   {APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"list\"]}\n\
                   {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}\n\
                   {APIGroups:[\"apps\"], Resources:[\"deployments\"], Verbs:[\"get\"]}";
    let status = create.await.refused(403, "Forbidden", message);
    let details = json!({"name": "more", "group": RBAC, "kind": "roles"});
    assert_eq!(status["details"], details);
    // Nor by changing one, be it bound to somebody or not.
    world.post(ROLES, &role("some", &[])).await.is(201);
    let patch = json!({"rules": [rule(json!([""]), json!(["pods"]), json!(["get"]))]});
    let answer = world
        .merge_patch(&format!("{ROLES}/some"), &patch)
        .acting_as("ann")
        .await;
    answer.refused_saying(
        403,
        "Forbidden",
        "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}",
    );
}

async fn who_may_escalate_writes_any_role(world: World) {
    clerk(
        &world,
        &[rule(json!([RBAC]), json!(["roles"]), json!(["escalate"]))],
    )
    .await;
    let rules = [rule(json!(["*"]), json!(["*"]), json!(["*"]))];
    let create = world.post(ROLES, &role("more", &rules)).acting_as("ann");
    create.await.is(201);
}

async fn who_holds_a_permission_may_grant_it(world: World) {
    clerk(&world, &[]).await;
    let rules = [rule(json!([""]), json!(["configmaps"]), json!(["get"]))];
    let create = world.post(ROLES, &role("same", &rules)).acting_as("ann");
    create.await.is(201);
    let bound = binding("bob", ("Role", "same"), user("bob"));
    // The server may not yet know the role.
    for _ in 0..ASKS_MAX {
        let answer = world.post(BINDINGS, &bound).acting_as("ann").await;
        if answer.status != 404 {
            answer.is(201);
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    panic!("the role stays unknown");
}

async fn nobody_binds_a_role_beyond_their_own(world: World) {
    clerk(&world, &[]).await;
    let bound = binding(
        "ann-admin",
        ("ClusterRole", "system:node-problem-detector"),
        user("ann"),
    );
    let answer = world.post(BINDINGS, &bound).acting_as("ann").await;
    let status = answer.refused_saying(
        403,
        "Forbidden",
        "rolebindings.rbac.authorization.k8s.io \"ann-admin\" is forbidden: user \"ann\" \
         (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently \
         held:\n\
         {APIGroups:[\"\"], Resources:[\"events\"], Verbs:[\"create\" \"patch\" \"update\"]}\n\
         {APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\"]}\n\
         {APIGroups:[\"\"], Resources:[\"nodes/status\"], Verbs:[\"patch\"]}",
    );
    status.has(json!({"details": {"name": "ann-admin", "kind": "rolebindings"}}));
}

async fn who_may_bind_binds_any_role(world: World) {
    let mut binds = rule(json!([RBAC]), json!(["clusterroles"]), json!(["bind"]));
    binds["resourceNames"] = json!(["edit"]);
    clerk(&world, &[binds]).await;
    let bound = binding("bob", ("ClusterRole", "edit"), user("bob"));
    let create = world.post(BINDINGS, &bound).acting_as("ann");
    create.await.is(201);
    let bound = binding("eve", ("ClusterRole", "admin"), user("eve"));
    let create = world.post(BINDINGS, &bound).acting_as("ann");
    create.await.refusal_of(403, "Forbidden");
}

async fn a_binding_to_a_missing_role_is_not_found_for_who_may_not_bind(world: World) {
    clerk(&world, &[]).await;
    let bound = binding("bob", ("Role", "nothing"), user("bob"));
    let answer = world.post(BINDINGS, &bound).acting_as("ann").await;
    let status = answer.refused(
        404,
        "NotFound",
        "rolebindings.rbac.authorization.k8s.io \"nothing\" not found",
    );
    let details = json!({"name": "nothing", "group": RBAC, "kind": "rolebindings"});
    assert_eq!(status["details"], details);
    // An administrator binds what is yet to come.
    world.post(BINDINGS, &bound).await.is(201);
}

async fn a_rule_that_gathers_needs_an_administrator(world: World) {
    let name = &world.namespace;
    let rules = [rule(
        json!([RBAC]),
        json!(["clusterroles"]),
        json!(["create", "list"]),
    )];
    world
        .post(CLUSTER_ROLES, &cluster_role(name, &rules))
        .await
        .is(201);
    let bound = cluster_binding(name, name, user(name));
    world.post(CLUSTER_BINDINGS, &bound).await.is(201);
    once_allowed(world.get(CLUSTER_ROLES).acting_as(name))
        .await
        .is(200);
    let other = format!("{name}-gathers");
    let mut gathers = cluster_role(&other, &[]);
    gathers["aggregationRule"] =
        json!({"clusterRoleSelectors": [{"matchLabels": {"no-such-label": "true"}}]});
    let answer = world.post(CLUSTER_ROLES, &gathers).acting_as(name).await;
    let message = format!(
        "clusterroles.rbac.authorization.k8s.io {other:?} is forbidden: must have cluster-admin \
         privileges to use the aggregationRule"
    );
    answer.refused(403, "Forbidden", &message);
}

async fn the_role_of_a_binding_cannot_change(world: World) {
    let bound = binding("ann", ("ClusterRole", "view"), user("ann"));
    world.post(BINDINGS, &bound).await.is(201);
    let patch = json!({"roleRef": {"name": "edit"}});
    let answer = world.merge_patch(&format!("{BINDINGS}/ann"), &patch).await;
    answer.refused_saying(422, "Invalid", "cannot change roleRef");
}

async fn a_role_needs_verbs_groups_and_resources(world: World) {
    let answer = world.post(ROLES, &role("a", &[json!({})])).await;
    let status = answer.refused_saying(
        422,
        "Invalid",
        "rules[0].verbs: Required value: verbs must contain at least one value",
    );
    let fields: Vec<&str> = status
        .list("/details/causes")
        .iter()
        .map(|cause| cause.text("/field"))
        .collect();
    let expected = ["rules[0].verbs", "rules[0].apiGroups", "rules[0].resources"];
    assert_eq!(fields, expected);
}

async fn a_role_of_a_namespace_has_no_paths(world: World) {
    let paths = json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]});
    let answer = world
        .post(ROLES, &role("a", std::slice::from_ref(&paths)))
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "rules[0].nonResourceURLs: Invalid value: [\"/metrics\"]: namespaced rules cannot apply to \
         non-resource URLs",
    );
    let mut mixed = paths;
    mixed["resources"] = json!(["pods"]);
    let name = &world.namespace;
    let answer = world
        .post(CLUSTER_ROLES, &cluster_role(name, &[mixed]))
        .await;
    answer.refused_saying(
        422,
        "Invalid",
        "rules[0].nonResourceURLs: Invalid value: [\"/metrics\"]: rules cannot apply to both \
         regular resources and non-resource URLs",
    );
}

/// A ClusterRole that gathers by a label of this case's own, and one that has it.
async fn gathering(world: &World) -> (String, String) {
    let name = &world.namespace;
    let (all, part) = (format!("{name}-all"), format!("{name}-part"));
    let mut gathers = cluster_role(&all, &[]);
    gathers["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {name: "true"}}]});
    world.post(CLUSTER_ROLES, &gathers).await.is(201);
    let rules = [rule(
        json!(["example.com"]),
        json!(["widgets"]),
        json!(["get"]),
    )];
    let mut gathered = cluster_role(&part, &rules);
    gathered["metadata"]["labels"] = json!({name: "true"});
    world.post(CLUSTER_ROLES, &gathered).await.is(201);
    let path = format!("{CLUSTER_ROLES}/{all}");
    let found = world
        .until(&path, |role| role.list("/rules").len() == 1)
        .await;
    assert_eq!(found["rules"], json!(rules));
    (all, part)
}

async fn a_cluster_role_gathers_the_rules_of_others(world: World) {
    let (all, _) = gathering(&world).await;
    let rules = [rule(
        json!(["example.com"]),
        json!(["gadgets"]),
        json!(["list"]),
    )];
    let mut another = cluster_role(&format!("{all}-2"), &rules);
    another["metadata"]["labels"] = json!({world.namespace.as_str(): "true"});
    world.post(CLUSTER_ROLES, &another).await.is(201);
    let path = format!("{CLUSTER_ROLES}/{all}");
    let found = world
        .until(&path, |role| role.list("/rules").len() == 2)
        .await;
    // In the order of the roles' names.
    assert_eq!(found.text("/rules/0/resources/0"), "gadgets");
}

async fn a_gathered_rule_goes_with_its_label(world: World) {
    let (all, part) = gathering(&world).await;
    let patch = json!({"metadata": {"labels": null}});
    world
        .merge_patch(&format!("{CLUSTER_ROLES}/{part}"), &patch)
        .await
        .is(200);
    let path = format!("{CLUSTER_ROLES}/{all}");
    world
        .until(&path, |role| role.list("/rules").is_empty())
        .await;
}

async fn the_viewers_rules_can_be_added_to(world: World) {
    let (name, group) = (&world.namespace, &world.group);
    let rules = [rule(json!([group]), json!(["widgets"]), json!(["get"]))];
    let mut added = cluster_role(name, &rules);
    added["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    world.post(CLUSTER_ROLES, &added).await.is(201);
    // The editor's role gathers the viewer's, and the administrator's the editor's.
    for role in ["view", "edit", "admin"] {
        let path = format!("{CLUSTER_ROLES}/{role}");
        let has_it = |role: &Value| role.list("/rules").contains(&rules[0]);
        world.until(&path, has_it).await;
    }
    let path = format!("{CLUSTER_ROLES}/{name}");
    world.delete(&path).await.is(200);
}

async fn gathered_rules_are_owned_by_the_controller(world: World) {
    let (all, _) = gathering(&world).await;
    let found = world.get(&format!("{CLUSTER_ROLES}/{all}")).await.is(200);
    let owner = found
        .managed()
        .into_iter()
        .find(|(_, _, _, fields)| !fields["f:rules"].is_null() && fields["f:metadata"].is_null())
        .map(|(manager, operation, _, _)| (manager.to_owned(), operation.to_owned()));
    let expected = (
        "clusterrole-aggregation-controller".to_owned(),
        "Apply".to_owned(),
    );
    assert_eq!(owner, Some(expected));
}
