with failures as (
  select
    coalesce(error_code, 'no_code') as error_code,
    count(*) as messages,
    {{ signalwire_logs.count_where("outcome = 'failed'") }} as failed,
    {{ signalwire_logs.count_where("outcome = 'undelivered'") }} as undelivered,
    count(distinct our_number) as our_numbers,
    count(distinct contact_number) as contacts,
    sum(charge) as charge,
    min(error_message) as example_message,
    min(created_at) as first_seen_at,
    max(created_at) as last_seen_at
  from {{ ref('message_enhanced') }}
  where outcome in ('failed', 'undelivered')
  group by coalesce(error_code, 'no_code')
)

select
  failures.error_code,
  coalesce(codes.vocabulary, 'unknown') as vocabulary,
  coalesce(codes.title, 'A code that this package does not know') as title,
  coalesce(codes.category, 'unknown') as category,
  codes.retry_helps,
  coalesce(codes.advice, 'Read the message of the log, and ask SignalWire about the code.') as advice,
  failures.messages,
  failures.failed,
  failures.undelivered,
  cast(failures.messages as {{ signalwire_logs.type_double() }}) / cast(sum(failures.messages) over () as {{ signalwire_logs.type_double() }}) as share_of_failures,
  failures.our_numbers,
  failures.contacts,
  failures.charge,
  failures.example_message,
  failures.first_seen_at,
  failures.last_seen_at
from failures
left join {{ ref('error_codes') }} as codes on codes.code = failures.error_code
