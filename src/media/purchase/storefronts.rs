//! Countries of the iTunes Store by the number of their storefront (reference purchases 1.1).

/// Returns the ISO 3166 country of a storefront; some files append `-1,2` or the like.
pub fn country(store_front: &str) -> Option<&'static str> {
    let digits: String = store_front.chars().take_while(char::is_ascii_digit).take(9).collect();
    let index = digits.parse::<usize>().ok()?.checked_sub(FIRST)?;
    COUNTRIES.split_ascii_whitespace().nth(index).filter(|country| *country != "--")
}

const FIRST: usize = 143441;
/// In the order of their numbers, without a gap; `--` is none.
const COUNTRIES: &str = "\
    US FR DE GB AT BE FI GR IE IT LU NL PT ES CA SE NO DK CH AU NZ JP HK SG CN KR IN MX RU TW VN ZA MY PH TH \
    ID PK PL SA TR AE HU CL NP PA LK RO -- CZ -- IL UA KW HR CR SK LB QA SI -- CO VE BR GT AR SV PE DO EC HN \
    JM NI PY UY MO EG KZ EE LV LT MT -- MD AM BW BG -- JO KE MK MG ML MU NE SN TN UG AI BS AG BB BM VG KY DM \
    GD MS KN LC VC TT TC GY SR BZ BO CY IS BH BN NG OM DZ AO BY UZ -- AZ -- -- YE TZ GH -- AL BJ BT BF KH CV \
    TD CG FJ GM GW KG LA LR MW MR FM MN MZ NA PW -- PG ST SC SL SB SZ TJ TM ZW";
