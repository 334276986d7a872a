//! Who may: tokens, service accounts, and asking what one may.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::answer::Look;
use crate::manifests::config_map;
use crate::world::World;

cases! { Workloads:
    a_token_that_nobody_issued_is_unauthorized,
    a_stranger_may_ask_for_health_and_version,
    a_service_account_gets_a_token_for_the_asking,
    a_token_names_its_account_audience_and_end,
    a_token_needs_an_account,
    a_token_lives_at_least_ten_minutes,
    a_token_can_be_bound_to_an_object,
    a_token_identifies_its_account,
    a_token_review_tells_whose_token_it_is,
    a_token_review_rejects_what_nobody_issued,
    a_token_secret_is_filled_in,
    an_administrator_may_do_anything,
    an_administrator_is_of_the_masters_group,
    an_access_review_can_be_asked_for_paths,
    an_access_review_needs_attributes,
    rules_of_an_administrator_are_listed,
}

async fn account(world: &World, name: &str) {
    let body = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    world.post("serviceaccounts", &body).await.is(201);
}

async fn token(world: &World, name: &str) -> String {
    account(world, name).await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"});
    let answer = world
        .post(&format!("serviceaccounts/{name}/token"), &request)
        .await
        .is(201);
    answer.text("/status/token").to_owned()
}

/// The claims of a token, unverified.
fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a token has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn a_token_that_nobody_issued_is_unauthorized(world: World) {
    let answer = world.get("configmaps").with_token(&world, "nonsense").await;
    answer.refused(401, "Unauthorized", "Unauthorized");
}

async fn a_stranger_may_ask_for_health_and_version(world: World) {
    for path in ["/readyz", "/livez", "/healthz", "/version"] {
        let answer = world.get(path).anonymously(&world).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

async fn a_service_account_gets_a_token_for_the_asking(world: World) {
    account(&world, "robot").await;
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    });
    let answer = world
        .post("serviceaccounts/robot/token", &request)
        .await
        .is(201);
    answer.has(json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "spec": {"expirationSeconds": 3600},
    }));
    assert!(answer.text("/status/expirationTimestamp").ends_with('Z'));
    assert_eq!(answer.text("/status/token").split('.').count(), 3);
}

async fn a_token_names_its_account_audience_and_end(world: World) {
    account(&world, "robot").await;
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["somebody"], "expirationSeconds": 3600},
    });
    let answer = world
        .post("serviceaccounts/robot/token", &request)
        .await
        .is(201);
    let claims = claims(answer.text("/status/token"));
    claims.has(json!({
        "aud": ["somebody"],
        "sub": format!("system:serviceaccount:{}:robot", world.namespace),
        "kubernetes.io": {"namespace": world.namespace, "serviceaccount": {"name": "robot"}},
    }));
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        3600
    );
    // It is for somebody else.
    let token = answer.text("/status/token");
    world
        .get("configmaps")
        .with_token(&world, token)
        .await
        .refused(401, "Unauthorized", "Unauthorized");
}

async fn a_token_needs_an_account(world: World) {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"});
    let answer = world.post("serviceaccounts/nobody/token", &request).await;
    answer.refused(404, "NotFound", "serviceaccounts \"nobody\" not found");
}

async fn a_token_lives_at_least_ten_minutes(world: World) {
    account(&world, "robot").await;
    let request = json!({"spec": {"expirationSeconds": 60}});
    let answer = world.post("serviceaccounts/robot/token", &request).await;
    answer.refused_saying(
        422,
        "Invalid",
        "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
    );
}

async fn a_token_can_be_bound_to_an_object(world: World) {
    account(&world, "robot").await;
    let secret = world
        .post("secrets", &crate::manifests::secret("a"))
        .await
        .is(201);
    let bound = json!({"spec": {"boundObjectRef": {
        "apiVersion": "v1", "kind": "Secret", "name": "a", "uid": secret["metadata"]["uid"],
    }}});
    let answer = world
        .post("serviceaccounts/robot/token", &bound)
        .await
        .is(201);
    let claims = claims(answer.text("/status/token"));
    claims.has(json!({"kubernetes.io": {"secret": {"name": "a"}}}));
    let bound = json!({"spec": {"boundObjectRef": {
        "apiVersion": "v1", "kind": "Secret", "name": "b",
    }}});
    let answer = world.post("serviceaccounts/robot/token", &bound).await;
    answer.refused_saying(404, "NotFound", "secrets \"b\" not found");
}

async fn a_token_identifies_its_account(world: World) {
    let token = token(&world, "robot").await;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = world
        .post(path, &review)
        .with_token(&world, &token)
        .await
        .is(201);
    answer.has(json!({"kind": "SelfSubjectReview", "status": {"userInfo": {
        "username": format!("system:serviceaccount:{}:robot", world.namespace),
        "groups": [
            "system:serviceaccounts",
            format!("system:serviceaccounts:{}", world.namespace),
            "system:authenticated",
        ],
    }}}));
}

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

async fn a_token_review_tells_whose_token_it_is(world: World) {
    let token = token(&world, "robot").await;
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
    });
    let answer = world.post(TOKEN_REVIEWS, &review).await.is(201);
    answer.has(json!({"status": {"authenticated": true, "user": {
        "username": format!("system:serviceaccount:{}:robot", world.namespace),
    }}}));
}

async fn a_token_review_rejects_what_nobody_issued(world: World) {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": "nonsense"},
    });
    let answer = world.post(TOKEN_REVIEWS, &review).await.is(201);
    answer.has(json!({"status": {"authenticated": null}}));
}

async fn a_token_secret_is_filled_in(world: World) {
    account(&world, "robot").await;
    let body = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "robot", "annotations": {"kubernetes.io/service-account.name": "robot"},
        },
    });
    world.post("secrets", &body).await.is(201);
    let filled = world
        .until("secrets/robot", |secret| {
            secret["data"]["token"].is_string()
        })
        .await;
    assert!(filled["data"]["ca.crt"].is_string());
    let decode = |key: &str| {
        let text = filled["data"][key].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(decode("namespace"), world.namespace);
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    world
        .post(path, &review)
        .with_token(&world, &decode("token"))
        .await
        .is(201);
}

const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

async fn an_administrator_may_do_anything(world: World) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "namespace": world.namespace, "verb": "delete", "group": "apps", "resource": "deployments",
        }},
    });
    let answer = world.post(ACCESS_REVIEWS, &review).await.is(201);
    answer.has(json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": true}}));
}

async fn an_administrator_is_of_the_masters_group(world: World) {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = world.post(path, &review).await.is(201);
    let groups = answer.list("/status/userInfo/groups");
    for group in ["system:masters", "system:authenticated"] {
        assert!(groups.contains(&json!(group)), "{groups:?}");
    }
}

async fn an_access_review_can_be_asked_for_paths(world: World) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}},
    });
    let answer = world.post(ACCESS_REVIEWS, &review).await.is(201);
    answer.has(json!({"status": {"allowed": true}}));
}

async fn an_access_review_needs_attributes(world: World) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {},
    });
    let answer = world.post(ACCESS_REVIEWS, &review).await;
    answer.refused_saying(
        422,
        "Invalid",
        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
    );
    world.post("configmaps", &config_map("a")).await.is(201);
}

async fn rules_of_an_administrator_are_listed(world: World) {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": world.namespace},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = world.post(path, &review).await.is(201);
    let all = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    assert!(
        answer.list("/status/resourceRules").contains(&all),
        "{answer:#}"
    );
}
