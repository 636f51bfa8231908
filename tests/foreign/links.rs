//! Links for payments.

use serde_json::Value as Json;
use statuskit_eip::eip681::{
    PaymentLink,
    client::{self, ClientLink, amount_in_wei},
};

use crate::{each, ensure, none, same, text};

#[test]
fn links_of_another_parser() {
    each("eip681/eth_url_parser.json", none, |case| {
        let uri = text(case, "uri");
        let link = uri.parse::<PaymentLink>().map_err(|error| error.to_string())?;
        let parsed = &case["parsed"];
        same(link.prefix(), parsed["prefix"].as_str())?;
        same(link.target(), text(parsed, "target_address"))?;
        let chain_id = link.chain_id().map(|id| id.to_string());
        same(chain_id, parsed["chain_id"].as_str().map(str::to_owned))?;
        same(link.function(), parsed["function_name"].as_str())?;
        let parameters = parsed["parameters"].as_object().cloned().unwrap_or_default();
        same(link.parameters().len(), parameters.len())?;
        for (key, value) in &parameters {
            let expected = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let number = link.number(key).map(|number| number.to_string());
            let is_same = number == Some(expected.clone()) || link.text(key) == Some(&expected);
            ensure(is_same, format!("{key}: got {:?}, expected {expected}", link.text(key)))?;
        }
        if case["build_gives_uri"] == true {
            same(link.to_string(), uri.to_owned())?;
        }
        Ok(())
    });
}

#[test]
fn links_of_the_app() {
    each("status_react/eip681.json", none, |case| match text(case, "what") {
        "parse" => parse(case),
        "value" => {
            let number = case["text"].as_str().and_then(amount_in_wei);
            same(number.map(|it| it.to_string()), owned(&case["expect"]))
        }
        "generate" => generate(case),
        "generate-erc20" => transfer(case),
        "round-trip" => {
            let link = ClientLink::parse(text(case, "uri")).map_err(|it| it.to_string())?;
            same(client::write(&link), text(case, "uri").to_owned())
        }
        other => Err(format!("{other} is unknown")),
    });
}

fn parse(case: &Json) -> Result<(), String> {
    let link = ClientLink::parse(text(case, "uri"));
    let Some(expected) = case["expect"].as_object() else {
        return ensure(link.is_err(), format!("read as {link:?}"));
    };
    let link = link.map_err(|refusal| refusal.to_string())?;
    same(Some(link.target.clone()), expected.get("address").and_then(owned))?;
    same(Some(link.chain_id), expected.get("chain-id").and_then(Json::as_u64))?;
    same(link.function.clone(), expected.get("function-name").and_then(owned))?;
    for key in ["value", "gas", "gasPrice"] {
        same(link.amount(key).map(str::to_owned), expected.get(key).and_then(owned))?;
    }
    let arguments = expected.get("function-arguments").and_then(Json::as_object);
    let mut arguments: Vec<(String, String)> = arguments
        .map(|it| {
            it.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().into())).collect()
        })
        .unwrap_or_default();
    let mut found = link.arguments;
    arguments.sort();
    found.sort();
    same(found, arguments)
}

fn generate(case: &Json) -> Result<(), String> {
    let Some(target) = owned(&case["address"]) else {
        return ensure(case["expect"].is_null(), "a link without an address");
    };
    let params = &case["params"];
    let amounts = ["value", "gas", "gasPrice"].into_iter();
    let arguments = params["function-arguments"].as_object().cloned().unwrap_or_default();
    let link = ClientLink {
        target,
        chain_id: params["chain-id"].as_u64().unwrap_or(1),
        function: owned(&params["function-name"]),
        arguments: arguments.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        amounts: amounts
            .filter(|key| !params[*key].is_null())
            .map(|key| (key.to_owned(), plain(&params[key])))
            .collect(),
    };
    same(Some(client::write(&link)), owned(&case["expect"]))
}

fn transfer(case: &Json) -> Result<(), String> {
    let params = &case["params"];
    let token = params["symbol"].as_str().map(|symbol| &case["tokens"][symbol]);
    let made = match (owned(&case["address"]), token) {
        (Some(to), Some(token)) => {
            let chain_id = params["chain-id"].as_u64().unwrap_or(1);
            let contract = text(token, "address").parse().unwrap();
            let amount = amount_in_wei(&plain(&params["value"])).unwrap();
            Some(client::write(&client::transfer(&contract, chain_id, &to, amount)))
        }
        _ => None,
    };
    same(made, owned(&case["expect"]))
}

fn owned(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn plain(json: &Json) -> String {
    owned(json).unwrap_or_else(|| json.to_string())
}
