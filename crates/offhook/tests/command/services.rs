//! `offhook service …`.

use serde_json::json;

use crate::harness::Folder;

#[test]
fn a_service_is_made_replaced_shown_listed_and_removed() {
    let folder = Folder::new();
    folder.account("a@b.c");
    assert_eq!(
        folder.ok("service list"),
        "There are no services; `offhook service set` makes one.\n"
    );
    assert_eq!(folder.json("service list"), json!([]));
    let said = folder.ok("service set support --clients bob,carol");
    assert_eq!(said, "Service support of 1-2-0/a@b.c is made.\n");
    let support = json!({
        "name": "support",
        "clients": { "list": ["bob", "carol"], "ring": "all", "ring_s": 20 },
    });
    assert_eq!(folder.json("service show support"), support);

    folder.ok("service set sales --clients dave --clients eve --ring round-robin --ring-s 7");
    let table = folder.ok("service list");
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines,
        [
            "SERVICE  RING         SECONDS  ANSWERED BY",
            "sales    round-robin  7        dave, eve",
            "support  all          20       bob, carol",
        ]
    );
    let sales = folder.json("service show sales --account 1-2-0/a@b.c");
    assert_eq!(sales["clients"]["ring"], "round_robin");
    assert_eq!(
        folder.json("service list 1-2-0/a@b.c"),
        json!([sales, support])
    );

    for (ring, shown) in [("in-order", "in-order"), ("in_order", "in-order")] {
        let said = folder.ok(&format!("service set support --clients bob --ring {ring}"));
        assert_eq!(said, "Service support of 1-2-0/a@b.c is replaced.\n");
        let text = folder.ok("service show support");
        let line = text.lines().find(|line| line.starts_with("ring:"));
        assert!(line.unwrap().ends_with(shown), "{text}");
    }
    let said = folder.ok("service remove support");
    assert_eq!(said, "Service support of 1-2-0/a@b.c is removed.\n");
    assert_eq!(folder.json("service list"), json!([sales]));
}

#[test]
fn an_application_is_set_shown_and_listed_and_its_secret_only_where_it_is_asked_for() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let said = folder.ok("service set ivr --url https://app.example.com/first");
    assert_eq!(said, "Service ivr of 1-2-0/a@b.c is made.\n");
    let page = |address: &str, method: &str| json!({ "address": address, "method": method });
    let first = page("https://app.example.com/first", "POST");
    let shown = json!({ "name": "ivr", "rest": { "first_page": first } });
    assert_eq!(folder.json("service show ivr"), shown);
    let secret = || folder.json("service show ivr --secret")["secret"].clone();
    let made = secret();
    assert_eq!(made.as_str().unwrap().len(), 43, "{made}");

    folder.ok(
        "service set ivr --url http://127.0.0.1:8000/ --method GET --final-url http://127.0.0.1:8000/final \
         --error-url http://127.0.0.1:8000/error --error-method GET",
    );
    let ivr = json!({ "name": "ivr", "rest": {
        "first_page": page("http://127.0.0.1:8000/", "GET"),
        "final_page": page("http://127.0.0.1:8000/final", "POST"),
        "error_page": page("http://127.0.0.1:8000/error", "GET"),
    } });
    assert_eq!(folder.json("service show ivr"), ivr);
    assert_eq!(folder.json("service list"), json!([ivr]));
    assert_eq!(secret(), made, "the application needs no new one");
    let lines = [
        "service:     ivr",
        "account:     1-2-0/a@b.c",
        "first page:  GET http://127.0.0.1:8000/",
        "final page:  POST http://127.0.0.1:8000/final",
        "error page:  GET http://127.0.0.1:8000/error",
    ];
    let text = folder.ok("service show ivr");
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    let text = folder.ok("service show ivr --secret");
    assert_eq!(text, format!("{}\n", made.as_str().unwrap()));
    folder.ok("service set support --clients bob");
    assert_eq!(
        folder.ok("service list").lines().collect::<Vec<_>>(),
        [
            "SERVICE  RING  SECONDS  ANSWERED BY",
            "ivr      -     -        GET http://127.0.0.1:8000/",
            "support  all   20       bob",
        ]
    );
}

#[test]
fn a_new_secret_is_made_for_applications_alone() {
    let folder = Folder::new();
    folder.account("a@b.c");
    folder.ok("service set ivr --url http://a");
    folder.ok("service set support --clients bob");
    let secret = || folder.json("service show ivr --secret")["secret"].clone();
    let before = secret();
    let said = folder.ok("service new-secret ivr --account 1-2-0/a@b.c");
    assert!(
        said.contains("`offhook service show ivr --secret`"),
        "{said}"
    );
    assert_ne!(secret(), before);
    assert!(!said.contains(secret().as_str().unwrap()), "{said}");
    for line in [
        "service new-secret support",
        "service show support --secret",
    ] {
        let sentence = folder.fails(1, line);
        assert!(
            sentence.contains("service support is answered by clients"),
            "{sentence}"
        );
    }
    let sentence = folder.fails(1, "service new-secret sales");
    assert!(sentence.contains("has no service sales"), "{sentence}");
}

#[test]
fn each_account_has_services_of_its_own() {
    let folder = Folder::new();
    folder.account("a@b.c");
    folder.account("d@e.f");
    let sentence = folder.fails(2, "service set support --clients bob");
    assert!(sentence.contains("1-2-0/a@b.c"), "{sentence}");
    folder.ok("service set support --clients bob --account 1-2-0/a@b.c");
    assert_eq!(folder.json("service list 1-2-0/d@e.f"), json!([]));
    for line in ["service show support", "service remove support"] {
        let sentence = folder.fails(1, &format!("{line} --account 1-2-0/d@e.f"));
        assert!(
            sentence.contains("account 1-2-0/d@e.f has no service support"),
            "{sentence}"
        );
    }
    let sentence = folder.fails(1, "service list 1-2-0/x");
    assert!(
        sentence.contains("there is no account 1-2-0/x"),
        "{sentence}"
    );
}

#[test]
fn what_is_asked_for_wrongly_is_one_sentence() {
    let folder = Folder::new();
    folder.account("a@b.c");
    for (wrong, right) in [
        ("service", "requires a subcommand"),
        ("service set support", "--clients"),
        ("service set --clients bob", "NAME"),
        ("service set a/b --clients bob", "1 to 64 characters"),
        ("service set support --clients bob,,eve", "client id"),
        ("service set support --clients bob,b/b", "client id"),
        (
            "service set support --clients bob,bob",
            "bob is named twice",
        ),
        (
            "service set support --clients bob --ring-s 0",
            "1 to 60 seconds",
        ),
        (
            "service set support --clients bob --ring-s 61",
            "1 to 60 seconds",
        ),
        (
            "service set support --clients bob --ring both",
            "all, in-order or round-robin",
        ),
        (
            "service set support",
            "say who answers: --clients CLIENT,CLIENT, or --url URL",
        ),
        (
            "service set support --clients bob --url http://a",
            "--clients and --url exclude each other",
        ),
        ("service set support --url a.example.com", "a URL of http"),
        (
            "service set support --url http://a --method PUT",
            "GET or POST",
        ),
        (
            "service set support --url http://a --ring all",
            "--ring is for a service that clients answer for (--clients)",
        ),
        (
            "service set support --url http://a --ring-s 20",
            "--ring-s is for",
        ),
        (
            "service set support --clients bob --final-url http://a",
            "--final-url is for a service that an application answers for (--url)",
        ),
        (
            "service set support --url http://a --error-method GET",
            "--error-method is given without --error-url",
        ),
        ("account set --service-callers nobody", "anyone or proven"),
    ] {
        let done = folder.run(wrong);
        assert_eq!(done.code, 2, "{wrong}: {done:?}");
        assert!(
            done.stderr.contains(right) && done.stderr.lines().count() == 1,
            "{wrong}: {done:?}"
        );
    }
    assert_eq!(folder.json("service list"), json!([]));
}

#[test]
fn who_may_call_services_is_the_accounts_to_say() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let callers = || folder.json("account show")["service_callers"].clone();
    assert_eq!(callers(), "anyone");
    let said = folder.ok("account set --service-callers proven");
    assert_eq!(said, "Account 1-2-0/a@b.c is changed.\n");
    assert_eq!(callers(), "proven");
    let text = folder.ok("account show");
    let line = text
        .lines()
        .find(|line| line.starts_with("service callers:"));
    assert!(line.unwrap().ends_with("proven"), "{text}");
    folder.ok("account set --token-limit 5");
    assert_eq!(callers(), "proven");
    folder.ok("account set 1-2-0/a@b.c --service-callers anyone");
    assert_eq!(folder.json("account list")[0]["service_callers"], "anyone");
}

#[test]
fn a_running_server_sees_what_is_set_and_the_command_what_was_put_there() {
    let folder = Folder::new();
    let key = folder.account("a@b.c");
    let server = folder.serve("serve --listen 127.0.0.1:0");
    let login = "1-2-0/a@b.c";
    let ask = |method: &str, path: &str, body: &str| server.ask(method, path, body, login, &key);
    assert_eq!(ask("GET", "/service/v1/inbound", "").1, json!([]));
    folder.ok("service set support --clients bob,carol --ring in-order");
    let support = folder.json("service show support");
    let there = ask("GET", "/service/v1/inbound/support", "");
    assert_eq!(there, (200, support.clone()), "at once");
    let (status, sales) = ask(
        "PUT",
        "/service/v1/inbound/sales",
        r#"{"clients":{"list":["eve"]}}"#,
    );
    assert_eq!(status, 201, "{sales}");
    assert_eq!(folder.json("service list"), json!([sales, support]));
    folder.ok("service remove support");
    assert_eq!(ask("GET", "/service/v1/inbound/support", "").0, 404);
}

#[test]
fn services_of_the_file_are_there_at_each_start_and_others_are_left_alone() {
    let folder = Folder::new();
    let key = folder.account("a@b.c");
    folder.ok("service set sales --clients eve");
    folder.ok("service set support --url http://127.0.0.1:1/");
    let kept = folder.json("service show support --secret")["secret"].clone();
    let given = "the secret of ivr, as its environment has it".replace(' ', "-");
    let file = |method: &str| {
        let text = format!(
            "no_answer_s = 30\n\n[[service]]\naccount = \"1-2-0/a@b.c\"\nname = \"support\"\n\
             first_page = \"http://127.0.0.1:8000/\"\nfirst_page_method = \"{method}\"\n\n\
             [[service]]\naccount = \"1-2-0/a@b.c\"\nname = \"ivr\"\n\
             first_page = \"http://127.0.0.1:8001/\"\nsecret = \"{given}\"\n\n\
             [[service]]\naccount = \"1-2-0/a@b.c\"\nname = \"team\"\nclients = [\"bob\"]\n"
        );
        folder.write("offhook.toml", &text);
    };
    for method in ["GET", "POST"] {
        file(method);
        let server = folder.serve("serve --listen 127.0.0.1:0");
        let path = "/service/v1/inbound";
        let (status, listed) = server.ask("GET", path, "", "1-2-0/a@b.c", &key);
        let page = |address: &str, method: &str| json!({ "first_page": { "address": address, "method": method } });
        let ring = |client: &str| json!({ "list": [client], "ring": "all", "ring_s": 20 });
        let expected = json!([
            { "name": "ivr", "rest": page("http://127.0.0.1:8001/", "POST") },
            { "name": "sales", "clients": ring("eve") },
            { "name": "support", "rest": page("http://127.0.0.1:8000/", method) },
            { "name": "team", "clients": ring("bob") },
        ]);
        assert_eq!(
            (status, listed),
            (200, expected),
            "from the first moment on"
        );
        let secret =
            |name: &str| folder.json(&format!("service show {name} --secret"))["secret"].clone();
        assert_eq!(secret("support"), kept, "the application needs no new one");
        assert_eq!(secret("ivr"), given.as_str());
        // Until the next start.
        folder.ok("service new-secret ivr");
        folder.ok("service remove team");
    }
}

#[test]
fn a_fault_in_the_services_of_the_file_stops_the_start_with_its_line() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let service = |account: &str, rest: &str| {
        format!("[[service]]\naccount = \"1-2-0/{account}\"\nname = \"ivr\"\n{rest}\n")
    };
    let right = service("a@b.c", "clients = [\"bob\"]");
    let wrong = service("eve", "clients = [\"bob\"]");
    folder.write("offhook.toml", &format!("{right}\n{wrong}"));
    let sentence = folder.fails(1, "serve --listen 127.0.0.1:0");
    let told = "offhook.toml line 6: there is no account 1-2-0/eve; `offhook account list` names";
    assert!(sentence.contains(told), "{sentence}");
    assert_eq!(
        folder.json("service list"),
        json!([]),
        "none of them is made"
    );

    for (rest, told) in [
        ("colour = 1", "line 4: there is no key \"colour\""),
        ("", "line 1: a service needs clients"),
        (
            "clients = [\"bob\"]\nfirst_page = \"http://a\"",
            "line 5: clients and first_page exclude each other",
        ),
        (
            "first_page = \"http://a\"\nsecret = \"hush\"",
            "line 5: a signing secret has 32",
        ),
    ] {
        folder.write("offhook.toml", &service("a@b.c", rest));
        for line in ["serve --listen 127.0.0.1:0", "config check"] {
            let sentence = folder.fails(2, line);
            assert!(sentence.contains(told), "{sentence}");
            assert!(!sentence.contains("hush"), "{sentence}");
        }
    }
}

#[test]
fn a_check_of_the_configuration_names_the_services_of_the_file_and_no_secret() {
    let folder = Folder::new();
    let secret = "s".repeat(32);
    folder.write(
        "offhook.toml",
        &format!(
            "\n[[service]]\naccount = \"1-2-0/a@b.c\"\nname = \"ivr\"\nfirst_page = \"http://a\"\nsecret = \"{secret}\"\n"
        ),
    );
    let text = folder.ok("config check");
    let line = text.lines().find(|line| line.starts_with("service "));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "service ivr of 1-2-0/a@b.c offhook.toml line 2"
    );
    let told = folder.json("config check");
    let expected =
        json!([{ "account": "1-2-0/a@b.c", "name": "ivr", "source": "offhook.toml line 2" }]);
    assert_eq!(told["services"], expected);
    assert!(!text.contains(&secret) && !told.to_string().contains(&secret));
}
