use super::*;

/// Runs a pickle; gives a sketch of the result or the fault's reason, and the codes of the hazards.
fn check(code: &[u8], expect: Result<&str, &str>, codes: &str) {
    let outcome = run(code, 0, &Limits { pickle_nodes: 1000, pickle_opcodes: 5000, ..Limits::default() });
    let mut hazards = Hazards::new("f");
    outcome.report(&mut hazards);
    let found: Vec<_> = hazards.finish().into_iter().map(|hazard| hazard.code).collect();
    match (&outcome.root, expect) {
        (Ok(root), Ok(sketch)) => assert_eq!(outcome.pickle.sketch(*root, 3), sketch, "{code:?}"),
        (Err(fault), Err(reason)) => assert!(fault.reason.contains(reason), "{code:?}: {fault:?}"),
        (root, expect) => panic!("{code:?}: {root:?}, expected {expect:?}"),
    }
    assert_eq!(found.join(","), codes, "{code:?}");
}

#[test]
fn values() {
    check(b"\x80\x02K\x05.", Ok("5"), "");
    check(b"I01\n.", Ok("True"), "");
    check(b"(I1\nL-2L\nJ\xff\xff\xff\xffM\x01\x01\x8a\x02\x00\x80t.", Ok("(1, -2, -1, 257, …)"), "");
    check(b"\x8a\x00.", Ok("0"), "");
    check(b"]q\x00(K\x01h\x00e.", Ok("[1, [1, [1, […]]]]"), "");
    check(b"S'a\\nb'\n.", Ok("\"a\\u{a}b\""), "");
    check(b"X\x02\x00\x00\x00hi\x85.", Ok("(\"hi\")"), "");
    check(b"ccollections\nOrderedDict\n)R.", Ok("{…}"), "");
}

#[test]
fn faults() {
    check(b"", Err("operand"), "");
    check(b"K", Err("operand"), "");
    check(b".", Err("empty stack"), "");
    check(b"(.", Err("empty stack"), "");
    check(b"a", Err("empty stack"), "");
    check(b"t.", Err("no mark"), "");
    check(b"h\x00.", Err("never memoised"), "");
    check(b"\xff.", Err("not an opcode"), "");
    check(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", Err("operand"), "");
    check(b"\x8b\xff\xff\xff\x7f.", Err("operand"), "");
    check(b"\x8b\xff\xff\xff\xff.", Err("negative length"), "");
    check(&b"(".repeat(1001), Err("nesting"), "");
    check(&b"]".repeat(1001), Err("number of values"), "");
    check(&b"N0".repeat(3000), Err("number of opcodes"), "");
    check(b"cposix\nsystem\n(S'id'\ntR\xff", Err("not an opcode"), "pickle-malformed,pickle-global");
}

#[test]
fn code_is_named_and_not_run() {
    check(b"cos\nsystem\n(S'id'\ntR.", Ok("os.system(\"id\")"), "pickle-global");
    check(b"\x8c\x02os\x8c\x06system\x93(S'id'\ntR.", Ok("os.system(\"id\")"), "pickle-global");
    check(b"(S'id'\nios\nsystem\n.", Ok("os.system(\"id\")"), "pickle-global");
    check(b"(cos\nsystem\nS'id'\no.", Ok("os.system(\"id\")"), "pickle-global");
    check(b"cos\nsystem\n(S'id'\nt}\x92.", Ok("os.system((\"id\"), {…})"), "pickle-global");
    check(b"cos\nsystem\n.", Ok("os.system"), "pickle-global");
    check(b"K\x01K\x02\x93.", Ok("…"), "pickle-computed-import");
    check(b"\x82\x01.", Ok("…"), "pickle-extension");
    check(b"cos\ngetattr\n)R)R.", Ok("os.getattr()()"), "pickle-computed-call,pickle-global");
    check(b"N(K\x01\x80\x02t.", Ok("(1)"), "pickle-odd,pickle-odd");
}
