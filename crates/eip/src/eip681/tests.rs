use proptest::prelude::*;

use super::{
    client::{ClientLink, ClientRefusal},
    *,
};

const TOKEN: &str = "0x89205a3a3b2a69de6dbf7f01ed13b2108b2c43e7";

fn parse(text: &str) -> PaymentLink {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn published_examples() {
    let link = parse("ethereum:0xfb6916095ca1df60bb79Ce92ce3ea74c37c5d359?value=2.014e18");
    assert_eq!(link.number("value").unwrap().to_string(), "2014000000000000000");
    assert_eq!(link.warnings().iter().map(Warning::name).collect::<Vec<_>>(), ["checksum"]);
    assert_eq!(link.call(|_| None).unwrap_err().code(), "address.checksum");
    let text = format!(
        "ethereum:{TOKEN}/transfer?address=0x8e23ee67d1332ad560396262c48ffbb01f93d052&uint256=1"
    );
    let link = parse(&text);
    assert_eq!((link.target(), link.function(), link.chain_id()), (TOKEN, Some("transfer"), None));
    assert_eq!(link.to_string(), text);
    assert_eq!(link.warnings(), []);
    let call = link.call(|_| None).unwrap();
    assert_eq!(call.signature.as_deref(), Some("transfer(address,uint256)"));
    assert_eq!(
        hex::encode(call.data),
        format!("a9059cbb{:0>64}{:0>64}", "8e23ee67d1332ad560396262c48ffbb01f93d052", "1")
    );
}

#[test]
fn every_part_is_read() {
    let link = parse(
        "Ethereum:pay-caf%C3%A9.eth@100/f%2Fg?string=a%26b%20c&int8=-5&bool=true&value=1ETH&gas=1&gasLimit=2&gasPrice=3e9",
    );
    assert_eq!(
        (link.prefix(), link.target(), link.chain_id()),
        (Some("pay"), "café.eth", Some(100))
    );
    assert_eq!(link.text("string"), Some("a&b c"));
    assert_eq!(link.number("gasPrice").unwrap().to_string(), "3000000000");
    assert_eq!(link.warnings(), [Warning::TwoLimits]);
    assert_eq!(parse(&link.to_string()), link);
}

#[test]
fn wrong_links_are_refused() {
    for (text, code) in [
        ("random", "payment_link.scheme"),
        ("bitcoin:0x1234", "payment_link.scheme"),
        ("ethereum:", "payment_link.target"),
        ("ethereum:0x1234", "payment_link.target"),
        ("ethereum:?value=1", "payment_link.target"),
        ("ethereum:bob", "payment_link.target"),
        ("ethereum:a b-a.eth", "payment_link.prefix"),
        ("ethereum:a.eth@x", "payment_link.chain_id"),
        ("ethereum:a.eth@18446744073709551616", "payment_link.chain_id"),
        ("ethereum:a.eth@+1", "payment_link.chain_id"),
        ("ethereum:a.eth/", "payment_link.function"),
        ("ethereum:a.eth?value", "payment_link.parameter"),
        ("ethereum:a.eth?=1", "payment_link.parameter"),
        ("ethereum:a.eth?value=1&value=1", "payment_link.twice"),
        ("ethereum:a.eth?value=0.5", "number.fraction"),
        ("ethereum:a.eth?value=1e99", "number.too_large"),
        ("ethereum:a.eth?data=0x1", "payment_link.hex"),
        ("ethereum:a%ff.eth", "payment_link.percent"),
        ("ethereum:a%2.eth", "payment_link.percent"),
    ] {
        assert_eq!(text.parse::<PaymentLink>().unwrap_err().code(), code, "{text}");
    }
    let long = format!("ethereum:{}", "a".repeat(MAX_LINK));
    assert_eq!(long.parse::<PaymentLink>().unwrap_err().code(), "payment_link.too_long");
}

#[test]
fn doubtful_links_have_warnings() {
    let names = |text: &str| parse(text).warnings().iter().map(Warning::name).collect::<Vec<_>>();
    assert_eq!(names("ethereum:a.eth"), ["no_prefix"]);
    assert_eq!(names("ethereum:foo-a.eth"), ["prefix"]);
    assert_eq!(names(&format!("ethereum:{TOKEN}?value=-1")), ["negative"]);
    assert_eq!(names(&format!("ethereum:{TOKEN}?unknown=1")), ["unknown_key"]);
    assert_eq!(names(&format!("ethereum:{TOKEN}?uint256=1")), ["no_function"]);
    assert_eq!(names(&format!("ethereum:{TOKEN}/f?uint256=x&address=0x12")), ["argument"; 2]);
}

#[test]
fn the_clients_transfer_is_a_transfer() {
    let to = "0x8e23ee67d1332ad560396262c48ffbb01f93d052";
    let turned = parse(&format!("ethereum:{TOKEN}/transfer?uint256=5&address={to}"));
    assert_eq!(turned.warnings(), [Warning::Order]);
    let usual = PaymentLink::transfer(&TOKEN.parse().unwrap(), to, 5_u64.into());
    assert_eq!(turned.call(|_| None), usual.call(|_| None));
}

#[test]
fn calls_are_strict() {
    let call = |query: &str| {
        let link = parse(&format!("ethereum:{TOKEN}/f?{query}"));
        link.call(|name| (name == "a.eth").then_some(Address([7; 20])))
    };
    let data = |query: &str| hex::encode(&call(query).unwrap().data[4..]);
    assert_eq!(data("address=a.eth"), format!("{:0>64}", "07".repeat(20)));
    assert_eq!(data("int256=-1"), "f".repeat(64));
    assert_eq!(data("int8=-128"), format!("{}80", "f".repeat(62)));
    assert_eq!(data("bytes4=0x01020304"), format!("{:0<64}", "01020304"));
    for (query, code) in [
        ("address=b.eth", "payment_link.unresolved"),
        ("address=0x12345", "address.format"),
        ("uint8=256", "abi.range"),
        ("uint256=-1", "abi.range"),
        ("int8=128", "abi.range"),
        ("uint256=1.5", "number.fraction"),
        ("bool=yes", "abi.value"),
        ("uint256[]=1", "abi.value"),
        ("nothing=1", "abi.type"),
        ("value=-1", "payment_link.negative"),
    ] {
        assert_eq!(call(query).unwrap_err().code(), code, "{query}");
    }
}

#[test]
fn old_links_have_data() {
    let link = parse(&format!("ethereum:{TOKEN}?value=1000&gas=21000&data=0x1234"));
    assert!(link.is_eip67() && link.warnings().is_empty());
    let call = link.call(|_| None).unwrap();
    assert_eq!(
        (call.data, call.value, call.gas),
        (vec![0x12, 0x34], 1000_u64.into(), Some(21000_u64.into()))
    );
}

#[test]
fn the_client_differs() {
    let text = format!("ethereum:{TOKEN}?value=1e18&gasLimit=5&unknown=1");
    let client = ClientLink::parse(&text).unwrap();
    assert_eq!((client.chain_id, client.amount("value")), (1, Some("1e18")));
    assert_eq!(client.differences(&parse(&text)).len(), 3);
    assert_eq!(client::write(&client), format!("ethereum:{TOKEN}?value=1000000000000000000"));
    assert_eq!(ClientLink::parse("ethereum:a.eth"), Err(ClientRefusal::Target));
    let wrong = "ethereum:0xfb6916095ca1df60bb79Ce92ce3ea74c37c5d359";
    assert_eq!(ClientLink::parse(wrong), Err(ClientRefusal::Target));
}

proptest! {
    #[test]
    fn links_come_back(
        name in "[a-zé]{1,9}\\.eth",
        chain_id: Option<u64>,
        function in proptest::option::of("[a-z&=/?@ é]{1,9}"),
        arguments in proptest::collection::vec(("[a-z0-9]{1,8}\\[\\]", "\\PC{0,20}"), 0..5),
        value: u128,
    ) {
        let mut link = PaymentLink::new(&name).unwrap().on_chain(chain_id);
        link = link.calling(function.as_deref());
        for (key, text) in &arguments {
            link = link.with(key, text).unwrap();
        }
        link = link.with("value", &value.to_string()).unwrap();
        let again: PaymentLink = link.to_string().parse().unwrap();
        prop_assert_eq!(again.to_string(), link.to_string());
        prop_assert_eq!(again, link);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "ethereum:(pay-)?[a-z0-9.]{0,20}[@/?&=%\\PC]{0,40}") {
        if let Ok(link) = text.parse::<PaymentLink>() {
            prop_assert_eq!(link.to_string().parse(), Ok(link.clone()));
            let _ = (link.call(|_| None), link.warnings());
        }
        let _ = ClientLink::parse(&text);
    }
}
