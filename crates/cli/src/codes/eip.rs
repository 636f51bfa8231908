//! Of Ethereum standards: numbers, contract calls.

use crate::codes::Explanation;

pub(super) const CODES: &[Explanation] = &[
    Explanation {
        code: "number.format",
        rule: "A number is decimal digits, with a fraction and an exponent where amounts are read, or 0x and hex digits.",
        source: "EIP-681, Syntax",
        causes: "A separator such as 1_000 or 1,5.",
    },
    Explanation {
        code: "number.fraction",
        rule: "An amount is a whole number of the smallest unit. Nothing is rounded.",
        source: "EIP-681, Semantics",
        causes: "More digits after the point than the unit has, or a fraction without a unit: 0.5ether.",
    },
    Explanation {
        code: "number.negative",
        rule: "Amounts and unsigned numbers are not negative.",
        source: "Ethereum yellow paper, section 4.2",
        causes: "Another sign or type was meant.",
    },
    Explanation {
        code: "number.too_large",
        rule: "Numbers have at most 256 bits, or those of their type.",
        source: "Ethereum yellow paper, section 4.2",
        causes: "A unit too many: 20gwei has its nine zeros already.",
    },
    Explanation {
        code: "number.unit",
        rule: "Units are wei, kwei, mwei, gwei, szabo, finney and ether.",
        source: "Ethereum yellow paper, section 2.1",
        causes: "The amount of a token: write it in its smallest unit.",
    },
    Explanation {
        code: "abi.signature",
        rule: "A signature is a name and types in parentheses: transfer(address,uint256).",
        source: "Solidity, Contract ABI Specification",
        causes: "Quotes are missing, so that the shell reads the parentheses.",
    },
    Explanation {
        code: "abi.type",
        rule: "Types are uint8 to uint256, int8 to int256, address, bool, bytes1 to bytes32, bytes, string, function, arrays of them, and tuples.",
        source: "Solidity, Contract ABI Specification",
        causes: "The name of a struct or enum: write a struct as (T,…), an enum as uint8, a contract as address.",
    },
    Explanation {
        code: "abi.depth",
        rule: "Types nest at most 32 levels.",
        source: "tools",
        causes: "Not a signature of a contract.",
    },
    Explanation {
        code: "abi.too_long",
        rule: "A signature has at most 64 KiB.",
        source: "tools",
        causes: "Not a signature.",
    },
];
