with said as (
  select from_number as number from {{ ref('stg_signalwire__message_logs') }}
  union distinct
  select to_number as number from {{ ref('stg_signalwire__message_logs') }}
  union distinct
  select from_number as number from {{ ref('stg_signalwire__voice_logs') }}
  union distinct
  select to_number as number from {{ ref('stg_signalwire__voice_logs') }}
  union distinct
  select from_number as number from {{ ref('stg_signalwire__fax_logs') }}
  union distinct
  select to_number as number from {{ ref('stg_signalwire__fax_logs') }}
),

cleaned as (
  select number, replace(number, 'whatsapp:', '') as bare
  from said
  where number is not null
),

with_digits as (
  select
    number,
    bare,
    case when {{ signalwire_logs.matches('bare', '^[+][0-9]{7,15}$') }} then substr(bare, 2) end as digits
  from cleaned
),

placed as (
  select
    with_digits.number,
    with_digits.bare,
    with_digits.digits,
    coalesce(
      {%- for length in range(signalwire_logs.longest_prefix(), 0, -1) %}
      prefix_{{ length }}.country{{ ',' if not loop.last }}
      {%- endfor %}
    ) as country,
    coalesce(
      {%- for length in range(signalwire_logs.longest_prefix(), 0, -1) %}
      prefix_{{ length }}.line_kind{{ ',' if not loop.last }}
      {%- endfor %}
    ) as line_kind
  from with_digits
  {%- for length in range(signalwire_logs.longest_prefix(), 0, -1) %}
  left join {{ ref('number_prefixes') }} as prefix_{{ length }}
    on prefix_{{ length }}.prefix = case when length(with_digits.digits) >= {{ length }} then substr(with_digits.digits, 1, {{ length }}) end
  {%- endfor %}
)

select
  number,
  case
    when digits is not null and line_kind = 'toll_free' then 'toll_free'
    when digits is not null then 'long_code'
    when {{ signalwire_logs.matches('bare', '^[+]?[0-9]{3,8}$') }} then 'short_code'
    when bare like 'sip:%' or bare like '%@%' then 'sip'
    when lower(bare) in ('', 'anonymous', 'private', 'restricted', 'unavailable', 'unknown') then 'withheld'
    when {{ signalwire_logs.matches('bare', '[A-Za-z]') }} then 'alphanumeric'
    else 'other'
  end as number_kind,
  country
from placed
