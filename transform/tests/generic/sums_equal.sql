{#- The sum of an expression equals that of another model: nothing is lost or doubled on the way. -#}
{% test sums_equal(model, column, other, other_column, other_where) %}
with sides as (
  select
    (select coalesce(sum({{ column }}), 0) from {{ model }}) as here,
    (select coalesce(sum({{ other_column }}), 0) from {{ other }} where {{ other_where }}) as there
)

select * from sides where here <> there
{% endtest %}
