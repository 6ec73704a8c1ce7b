{%- set limits = var('signalwire_segments_per_second') -%}
with per_second as (
  select
    our_number as number,
    our_number_kind as number_kind,
    our_country as country,
    {{ dbt.date_trunc('second', 'created_at') }} as second_at,
    count(*) as messages,
    {{ signalwire_logs.whole_sum('coalesce(number_of_segments, 1)') }} as segments
  from {{ ref('message_enhanced') }}
  where direction_group = 'outbound' and created_at is not null and our_number is not null
  group by our_number, our_number_kind, our_country, {{ dbt.date_trunc('second', 'created_at') }}
),

per_hour as (
  select
    number,
    number_kind,
    {{ dbt.date_trunc('hour', 'second_at') }} as hour_at,
    {{ signalwire_logs.whole_sum('messages') }} as messages,
    {{ signalwire_logs.whole_sum('segments') }} as segments,
    max(segments) as peak_segments_per_second,
    max(case
      when number_kind = 'long_code' and country = 'CA' then {{ limits['long_code_ca'] }}
      when number_kind = 'long_code' then {{ limits['long_code'] }}
      when number_kind = 'toll_free' then {{ limits['toll_free'] }}
      when number_kind = 'short_code' then {{ limits['short_code'] }}
    end) as segments_per_second_limit
  from per_second
  group by number, number_kind, {{ dbt.date_trunc('hour', 'second_at') }}
)

select
  hour_at,
  number,
  number_kind,
  messages,
  segments,
  peak_segments_per_second,
  segments_per_second_limit,
  peak_segments_per_second > segments_per_second_limit as was_above_limit,
  cast(segments as {{ signalwire_logs.type_double() }}) / (3600 * segments_per_second_limit) as share_of_hourly_capacity
from per_hour
